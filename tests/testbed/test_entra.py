"""The strict Entra: the negative matrix, the vendor's codes, what its APIs do not take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict

from apostille_testbed.parties.entra import CredentialError
from apostille_testbed.parties.serving import Request
from testbed.entra_world import APPLICATION, AUDIENCE, MANAGED, SCOPE, World, documents, world
from testbed.negative_matrix import ACCEPTED, REFUSED, SUBJECT, rotated
from testbed.strict_sts_issuer import Issuer


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("entra")) as running:
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as running:
        yield running


@pytest.mark.parametrize("fault", REFUSED)
def test_refused(shared: World, fault: str) -> None:
    token = REFUSED[fault](shared.issuer, AUDIENCE)
    answer = shared.exchange(token)
    assert not answer.token
    assert answer.status in (400, 401)
    assert answer.code
    assert answer.document["error_description"].startswith(f"AADSTS{answer.code}: ")
    assert not token or token not in str(answer.document), "what is refused is not quoted"


@pytest.mark.parametrize("kind", sorted(set(ACCEPTED) - {"one of two auds"}))
def test_accepted(shared: World, kind: str) -> None:
    assert shared.exchange(ACCEPTED[kind](shared.issuer, AUDIENCE)).token


def test_several_audiences_are_not_taken(shared: World) -> None:
    assert shared.exchange(ACCEPTED["one of two auds"](shared.issuer, AUDIENCE)).code == 700212


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"iss": "https://other.issuer.example"}, 700211),
        ({"subject": "system:serviceaccount:payments:writer"}, 700213),
        ({"audience": ["api://other"]}, 700212),
        ({"exp": 1}, 700024),
    ],
)
def test_codes_are_the_vendors(shared: World, changes: dict[str, Any], code: int) -> None:
    answer = shared.exchange(shared.token(**changes))
    assert (answer.code, answer.document["error"], answer.status) == (code, "invalid_client", 401)


def test_other_algorithms_are_not_taken(tmp_path: Path, shared: World) -> None:
    other = Issuer(shared.issuer.url, "ES256")
    assert shared.exchange(other.token(SUBJECT, [AUDIENCE])).code == 700027


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"client_id": "cccccccc-0000-0000-0000-000000000000"}, 700016),
        ({"tenant": "22222222-2222-3333-4444-555555555555"}, 90002),
        ({"grant_type": "password"}, 70003),
        ({"scope": "https://storage.azure.com/user_impersonation"}, 1002012),
        ({"scope": None}, 900144),
        ({"client_assertion_type": "urn:x"}, 50027),
        ({"client_secret": "x"}, 90014),
    ],
)
def test_requests(shared: World, changes: dict[str, Any], code: int) -> None:
    assert shared.exchange(shared.token(), **changes).code == code


def test_lives_are_the_vendors(own: World) -> None:
    for client, life in ((MANAGED, 86399), (APPLICATION, 3599)):
        answer = own.exchange(own.token(), client_id=client)
        assert answer.document["expires_in"] == life
        assert own.entra.holder(answer.token) == (client, SCOPE)
    own.clock.ahead = 4000
    assert own.entra.holder(answer.token) is None


def test_keys_rotate_and_cannot_be_read(own: World) -> None:
    old = own.token()
    assert own.exchange(old).token
    rotated(own.issuer)
    own.clock.ahead = 10
    assert own.exchange(own.token()).token
    del own.issuer.jwks[0]
    own.clock.ahead = 400
    assert own.exchange(old).code == 700027
    own.keys.stop()
    own.clock.ahead = 800
    assert own.exchange(own.token()).code == 90061


def test_an_identity_without_credentials(own: World) -> None:
    own.entra.directory.apply(documents({"value": []}))
    assert own.exchange(own.token()).code == 70025
    assert [(one.code, one.client_id) for one in own.entra.exchanges] == [("70025", MANAGED)]


_PROPERTIES = {"issuer": "https://x.example", "audiences": [AUDIENCE]}


@pytest.mark.parametrize(
    "files",
    [
        documents({"tenantId": "another"}),
        documents({"id": "/subscriptions/x"}),
        documents({"value": [{"name": "ab", "properties": {**_PROPERTIES, "subject": "s"}}]}),
        documents({"value": [{"name": "a.b.c", "properties": {**_PROPERTIES, "subject": "s"}}]}),
        documents({"value": [{"name": "-abc", "properties": {**_PROPERTIES, "subject": "s"}}]}),
        documents({"value": [{"name": "a" * 121, "properties": {**_PROPERTIES, "subject": "s"}}]}),
        documents({"value": [{"name": f"n-{i}", "properties": {**_PROPERTIES, "subject": f"{i}"}} for i in range(21)]}),
        documents({"value": [{"name": f"n-{i}", "properties": {**_PROPERTIES, "subject": "s"}} for i in range(2)]}),
        documents({"value": [{"name": "abc"}]}),
        documents(audiences=[]),
        documents(audiences=["a", "b"]),
        documents(issuer="http://x.example"),
        documents(subject="s" * 601),
        documents(claimsMatchingExpression={"value": "claims['sub'] matches '*'", "languageVersion": 1}),
    ],
)
def test_documents_that_the_vendor_does_not_take(shared: World, files: dict[str, str]) -> None:
    with pytest.raises(CredentialError):
        shared.entra.directory.apply(files)
    assert shared.exchange(shared.token()).token, "nothing has changed"


def test_a_subscription_is_listed_to_its_readers_with_a_token_for_the_resource_manager(own: World) -> None:
    own.entra.permit(MANAGED, "sub-1")
    management = "https://management.azure.com/.default"

    def listed(client: str, scope: str) -> tuple[int, Any]:
        token = own.exchange(own.token(), client_id=client, scope=scope).token
        request = Request("GET", "/subscriptions", "", CIMultiDict(Authorization=f"Bearer {token}"), b"")
        reply = own.entra.answer(request)
        return reply.status, json.loads(reply.body)

    assert listed(MANAGED, management) == (200, {"value": [{"id": "/subscriptions/sub-1", "subscriptionId": "sub-1"}]})
    assert listed(APPLICATION, management) == (200, {"value": []})
    status, document = listed(MANAGED, SCOPE)
    assert (status, document["error"]["code"]) == (401, "InvalidAuthenticationTokenAudience")
