"""The strict Google: the negative matrix, the vendor's order and errors, what IAM does not take."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apostille_testbed.parties.google import IAMError
from testbed.google_world import AUDIENCE, POOL, PRINCIPAL, PROVIDER, READER, READER_FILE, World, documents, world
from testbed.negative_matrix import ACCEPTED, REFUSED, SUBJECT, rotated


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("google")) as running:
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as running:
        yield running


@pytest.mark.parametrize("fault", REFUSED)
def test_refused(shared: World, fault: str) -> None:
    token = REFUSED[fault](shared.issuer, AUDIENCE)
    answer = shared.exchange(token)
    assert (answer.status, answer.token) == (400, "")
    assert answer.code in ("invalid_grant", "unauthorized_client", "invalid_request")
    assert not token or token not in str(answer.document), "what is refused is not quoted"


@pytest.mark.parametrize("kind", sorted(set(ACCEPTED) - {"no iat and no nbf"}))
def test_accepted(shared: World, kind: str) -> None:
    assert shared.exchange(ACCEPTED[kind](shared.issuer, AUDIENCE)).token


def test_a_token_needs_iat_and_is_stale_after_a_day(shared: World) -> None:
    """STS reference, subject_token: "iat: … must be in the past and cannot be more than 24 hours ago"."""
    assert shared.exchange(ACCEPTED["no iat and no nbf"](shared.issuer, AUDIENCE)).code == "invalid_grant"
    now = int(time.time())
    assert shared.exchange(shared.token(iat=now - 86000, nbf=None, exp=now + 60)).token
    answer = shared.exchange(shared.token(iat=now - 86500, nbf=None, exp=now + 60))
    assert "is stale to sign-in" in answer.message


ERRORS: dict[str, tuple[dict[str, Any], str, str]] = {
    "another audience": ({"audience": ["other"]}, "invalid_grant", "does not match the expected audience"),
    "another issuer": ({"iss": "https://other.example"}, "invalid_grant", "does not match the expected one"),
    "another subject": ({"name": "writer"}, "unauthorized_client", "rejected by the attribute condition"),
    "expired": ({"exp": 1}, "invalid_grant", "is stale to sign-in"),
}


@pytest.mark.parametrize("fault", ERRORS)
def test_errors_are_the_vendors(shared: World, fault: str) -> None:
    changes, code, words = ERRORS[fault]
    answer = shared.exchange(shared.token(**changes))
    assert (answer.status, answer.code) == (400, code)
    assert words in answer.message


def test_the_first_fault_in_the_vendors_order_is_told(shared: World) -> None:
    """cloud-trust §18.4: audience parameter, provider, issuer, key, times, audience, mapping, condition."""
    worst = shared.issuer.unsigned(shared.issuer.claims("system:serviceaccount:evil:x", ["other"], iss="https://x"))
    assert shared.exchange(worst, audience="https:" + f"//iam.googleapis.com/{PROVIDER}").code == "invalid_request"
    assert shared.exchange(worst, audience=f"//iam.googleapis.com/{PROVIDER}-2").code == "invalid_target"
    assert "issuer in ID Token" in shared.exchange(worst).message
    unsigned = shared.issuer.unsigned(shared.issuer.claims("system:serviceaccount:evil:x", ["other"]))
    assert "signature" in shared.exchange(unsigned).message
    assert "stale" in shared.exchange(shared.token("evil", "x", ["other"], exp=1)).message
    assert "audience" in shared.exchange(shared.token("evil", "x", ["other"])).message
    assert "condition" in shared.exchange(shared.token("evil", "x")).message


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"audience": f"//iam.googleapis.com/{PROVIDER.replace('123456789012', 'my-project')}"}, "invalid_request"),
        ({"audience": None}, "invalid_request"),
        ({"audience": PROVIDER}, "invalid_request"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:jwt"}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
        ({"scope": None}, "invalid_request"),
        ({"options": "%7B%7D"}, "invalid_request"),
    ],
)
def test_requests(shared: World, changes: dict[str, str | None], code: str) -> None:
    assert shared.exchange(shared.token(), **changes).code == code


def test_impersonation(shared: World) -> None:
    federated = shared.exchange(shared.token()).token
    answer = shared.impersonate(federated, lifetime="900s")
    assert answer.token
    holder = shared.google.holder(answer.token)
    assert holder is not None
    assert holder.service_account == READER
    assert 890 < holder.expires - time.time() <= 900
    for token, email, changes, code in (
        (federated, READER.replace("reader", "writer"), {}, "PERMISSION_DENIED"),
        (federated, READER, {"lifetime": "3601s"}, "INVALID_ARGUMENT"),
        (federated, READER, {"lifetime": "1h"}, "INVALID_ARGUMENT"),
        (federated, READER, {"scope": []}, "INVALID_ARGUMENT"),
        ("ya29.nobody", READER, {}, "UNAUTHENTICATED"),
        (answer.token, READER.replace("reader", "writer"), {}, "PERMISSION_DENIED"),
    ):
        assert shared.impersonate(token, email, **changes).code == code


def test_a_token_ends_and_keys_rotate(own: World) -> None:
    old = own.token()
    assert own.exchange(old).token
    rotated(own.issuer)
    own.clock.ahead = 10
    assert own.exchange(own.token()).token
    assert own.exchange(old).token
    del own.issuer.jwks[0]
    own.clock.ahead = 400
    assert own.exchange(old).message == "Error connecting to the given credential's issuer."
    issued = own.exchange(own.token()).token
    own.clock.ahead = 3601
    assert own.exchange(own.token()).code == "invalid_grant"
    assert own.google.holder(issued) is not None
    own.clock.ahead = 4001
    assert own.google.holder(issued) is None


def test_uploaded_keys_are_the_only_ones(own: World) -> None:
    own.google.pools.apply(documents(jwksJson=json.dumps({"keys": own.issuer.jwks})))
    own.keys.stop()
    assert own.exchange(own.token()).token
    rotated(own.issuer)
    assert "signature" in own.exchange(own.token()).message


def test_a_disabled_pool_or_provider_is_no_target(own: World) -> None:
    for files in (
        documents({"disabled": True}),
        documents() | {"pool.json": json.dumps({"name": POOL, "disabled": True})},
    ):
        own.google.pools.apply(files)
        assert own.exchange(own.token()).code == "invalid_target"


def test_the_subject_has_at_most_127_bytes(own: World) -> None:
    for length, code in ((127, ""), (128, "invalid_request")):
        subject = "s" * length
        own.google.pools.apply(documents({"attributeMapping": {"google.subject": f"'{subject}'"}}))
        assert own.exchange(own.token()).code == code


def test_who_asked_is_recorded_without_a_token(own: World) -> None:
    token = own.token()
    own.exchange(token)
    own.exchange(own.token("evil", "x"))
    assert [(one.code, one.subject) for one in own.google.exchanges] == [
        ("OK", SUBJECT), ("unauthorized_client", "system:serviceaccount:evil:x"),
    ]  # fmt: skip
    assert token not in repr(own.google.exchanges)


@pytest.mark.parametrize(
    "files",
    [
        documents({"name": PROVIDER.replace("123456789012", "my-project")}),
        documents({"name": PROVIDER.replace("cluster-a", "gcp-a")}),
        documents({"name": PROVIDER.replace("k8s-prod", "other-pool")}),
        documents({"attributeMapping": {}}),
        documents({"attributeMapping": {"google.subject": "assertion.sub", "attribute.A": "'x'"}}),
        documents({"attributeMapping": {"google.subject": "google.subject"}}),
        documents({"attributeCondition": "assertion.sub =="}),
        documents({"attributeCondition": "unknown.sub == 'x'"}),
        documents({"attributeCondition": f"'{'x' * 4096}' == 'x'"}),
        documents({"more": 1}),
        documents(issuerUri="http://cluster-a.issuer.example"),
        documents(allowedAudiences=[str(i) for i in range(11)]),
        documents(jwksJson='{"keys": [{"kty": "RSA", "x5c": []}]}'),
        documents(jwksJson="no"),
        documents() | {READER_FILE: json.dumps({"bindings": [{"role": "r", "members": [], "condition": {}}]})},
        documents()
        | {
            READER_FILE: json.dumps(
                {
                    "bindings": [
                        {
                            "role": "roles/iam.workloadIdentityUser",
                            "members": [PRINCIPAL.replace("123456789012", "my-project")],
                        }
                    ]
                }
            )
        },
        {"pool.json": "{}"},
    ],
)
def test_documents_that_iam_does_not_take(shared: World, files: dict[str, str]) -> None:
    with pytest.raises(IAMError):
        shared.google.pools.apply(files)
    assert shared.exchange(shared.token()).token, "nothing has changed"


def test_a_bucket_is_read_by_its_readers(own: World) -> None:
    own.google.create_bucket("ledger", ["11.csv"], [f"serviceAccount:{READER}"])
    federated = own.exchange(own.token()).token
    reader = own.impersonate(federated).token

    def listed(token: str) -> tuple[int, Any]:
        bearer = {"Authorization": f"Bearer {token}"}
        return own.call("/storage/v1/b/ledger/o", "", bearer, "GET")

    assert listed(reader) == (200, {"kind": "storage#objects", "items": [{"name": "11.csv"}]})
    assert listed(federated)[0] == 403
    assert listed("none")[0] == 401
    own.clock.ahead = 3700
    assert listed(reader)[0] == 401
