"""Our judgement of Google's documents against the strict Google, which shares no code with it; and Google's own SDK.

Expressions alone, over what nobody would write; whole exchanges, over what is rendered; tokens of a real API server.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from apostille.model.identity import Issuer
from apostille.parties.gcp import cel
from apostille.parties.gcp.party import CREDENTIALS_FILE, GCP
from apostille.parties.party import BindingView, Delivered, Paths
from apostille_testbed import ControlPlane
from apostille_testbed.parties.google.expressions import EvaluationError, Expression, Unsupported
from apostille_testbed.parties.issuers import DISCOVERY, KEYS
from apostille_testbed.parties.issuers import of as documents_of
from properties import examples
from samples.gcp import READER, gcp_binding, gcp_trust
from testbed.google_world import URL, World, world

PARTY = GCP()
WRITER = READER.replace("reader", "writer")
CLAIMS = {
    "sub": "system:serviceaccount:payments:reader",
    "aud": ["a", "b"],
    "number": 1,
    "flag": True,
    "kubernetes.io": {"namespace": "payments", "serviceaccount": {"name": "reader"}},
}

texts = st.sampled_from(["'a'", "'payments'", '"reader"', "'it\\'s'", "''", "'system:'", "'a && b'"])
values = st.one_of(
    texts,
    st.sampled_from(
        ["assertion.sub", "assertion.aud", "assertion['sub']", "assertion['kubernetes.io']['namespace']", "true", "1",
         "assertion['kubernetes.io'].serviceaccount.name", "assertion.missing", "assertion.aud[0]", "assertion.aud[9]",
         "assertion.flag", "assertion.number", "['a', 'payments']", "[]", "assertion", "size(assertion.sub)",
         "google.subject"]
    ),
)  # fmt: skip
atoms = st.one_of(
    st.builds(lambda one, sign, other: f"{one} {sign} {other}", values, st.sampled_from(["==", "!=", "in"]), values),
    st.builds(
        lambda of, name, given: f"{of}.{name}({given})",
        st.sampled_from(["assertion.sub", "'payments'", "assertion.aud", "assertion.missing"]),
        st.sampled_from(["startsWith", "endsWith", "contains"]), texts,
    ),
    st.sampled_from(["has(assertion.sub)", "has(assertion.missing)", "true", "false", "assertion.flag", "!true"]),
    st.builds(lambda one, other: f"{one} + {other} == 'payments'", values, values),
)  # fmt: skip
expressions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds(lambda one, sign, other: f"{one} {sign} {other}", inner, st.sampled_from(["&&", "||"]), inner),
        st.builds(lambda one: f"({one})", inner),
        st.builds(lambda one: f"!({one})", inner),
    ),
    max_leaves=6,
)
SCOPE = {"assertion": CLAIMS, "google": {"subject": "x"}, "attribute": {}}


def ours(text: str) -> Any:
    try:
        return cel.parse(text).value(SCOPE)
    except cel.CELError:
        return "error"
    except cel.CannotJudge:
        return "no verdict"


def theirs(text: str) -> Any:
    try:
        return Expression(text, frozenset(SCOPE)).value(SCOPE)
    except EvaluationError:
        return "error"
    except Unsupported:
        return "no verdict"


@examples(600)
@given(expressions)
def test_expressions(text: str) -> None:
    found = ours(text)
    event(str(found))
    assert found == theirs(text)
    assert found != "no verdict"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("google")) as running:
        yield running


# Our reason → the error of the Security Token Service, or of IAM credentials after it.
REASONS = {
    "IssuerUnknown": "invalid_grant",
    "AudienceMismatch": "invalid_grant",
    "ConditionRejected": "unauthorized_client",
    "SubjectMismatch": "PERMISSION_DENIED",
    "TargetMissing": "PERMISSION_DENIED",
}
accounts = st.sampled_from(["reader", "reader2", "writer"])
targets = st.sampled_from([READER, WRITER, "direct"])
bindings = st.lists(
    st.builds(
        lambda name, namespace, names, account: gcp_binding(
            name, namespace, account, subject={"serviceAccountNames": names}
        ),
        st.sampled_from(["a", "b", "c", "d"]), st.sampled_from(["payments", "pay"]),
        st.lists(accounts, min_size=1, max_size=2, unique=True), targets,
    ),
    min_size=1, max_size=4, unique_by=lambda made: (made.namespace, made.name),
)  # fmt: skip
OWN = "the trust's"
requests = st.tuples(
    st.sampled_from(["payments", "pay", "evil"]),
    accounts,
    st.sampled_from([[OWN]] * 6 + [["other"], [OWN, "other"], [OWN + "/"], []]),
    st.sampled_from([URL] * 8 + [URL + "/", "https://other.example"]),
    targets,
    st.booleans(),
)


def viewed(one: Any, *, pins: bool) -> BindingView:
    uids = {name: f"uid-{name}" for _, name in one.service_accounts}
    view: BindingView = one.view(PARTY, uids if pins else None)
    return view


@examples(50)
@given(bindings=bindings, pins=st.booleans(), uploaded=st.booleans(), asked=st.lists(requests, min_size=3, max_size=6))
def test_exchanges(strict: World, bindings: list[Any], pins: bool, uploaded: bool, asked: list[Any]) -> None:
    """Who gets in by what we render is who we say, and who is declared: the same verdict, with the vendor's error."""
    by = gcp_trust(settings={"pinInstances": pins, "keys": "Uploaded" if uploaded else "Discovery"})
    issuer = Issuer(URL, algorithms=("ES256",), jwks=json.dumps({"keys": strict.issuer.jwks}))
    views = [viewed(one, pins=pins) for one in bindings]
    access = PARTY.access(by.view, views, issuer)
    rendered = PARTY.render(access, "native")
    assert not [finding for finding in PARTY.findings(by.view, views, issuer) if finding.refuses]
    strict.google.pools.apply(rendered)
    declared = {(subject, view.target.service_account) for view in views for subject in view.subjects}
    for namespace, name, receivers, iss, target, anew in asked:
        audience = [one.replace(OWN, by.audience) for one in receivers]
        uid = "another" if anew else f"uid-{name}"
        claims = {"kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}}}
        subject = f"system:serviceaccount:{namespace}:{name}"
        verdict = PARTY.evaluate(access, {"iss": iss, "sub": subject, "aud": audience, **claims}, target)
        assert PARTY.evaluate(
            PARTY.parse(rendered), {"iss": iss, "sub": subject, "aud": audience, **claims}, target
        ) == (verdict)
        event(verdict.reason or "in")
        token = strict.token(namespace, name, audience, iss=iss, **claims)
        answer = strict.exchange(token)
        if target == "direct":
            allowed = bool(answer.token) and strict.google.has_direct_access(answer.token)
            assert verdict.allowed is allowed
            assert answer.token or answer.code == REASONS[verdict.reason]
        else:
            answer = strict.impersonate(answer.token, target) if answer.token else answer
            assert bool(answer.token) is verdict.allowed
            assert verdict.allowed or answer.code == REASONS[verdict.reason]
        assert verdict.allowed == (
            iss == URL and by.audience in audience and (subject, target) in declared and not (pins and anew)
        )


SDK = """
import google.auth, google.auth.transport.requests
credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
try:
    credentials.refresh(google.auth.transport.requests.Request())
except google.auth.exceptions.GoogleAuthError as error:
    print("refused", error)
else:
    print(project, credentials.token)
"""


def sdk(strict: World, made: Delivered, paths: Paths, token: str) -> str:
    """google-auth as a pod's container runs it; returns what it prints. By its names Google is the strict one."""
    Path(paths.token).write_text(token)
    for name, text in made.fixed.items():
        (Path(paths.files) / name).write_text(text)
    ran = subprocess.run(
        [sys.executable, "-c", SDK], capture_output=True, text=True, timeout=120, check=False,
        env={
            "PATH": os.environ["PATH"], "HOME": paths.files, "HTTPS_PROXY": strict.proxy.url,
            "REQUESTS_CA_BUNDLE": str(strict.google.ca), **made.environment,
        },
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@pytest.mark.integration
def test_googles_sdk_with_tokens_of_a_real_api_server(
    strict: World, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """Direct access and impersonation, with uploaded keys; a stranger of the same namespace is refused."""
    read = documents_of(control_plane)
    issuer = Issuer(read(DISCOVERY)["issuer"], jwks=json.dumps(read(KEYS)))
    for name in ("reader", "stranger"):
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        control_plane.client.request("POST", path, {"metadata": {"name": name}})
    by = gcp_trust(settings={"keys": "Uploaded"})
    paths = Paths(str(tmp_path / "token"), str(tmp_path), str(tmp_path))
    bound = {
        target: gcp_binding("a" if target == READER else "b", namespace, target).view(PARTY)
        for target in (READER, "direct")
    }
    strict.google.pools.apply(PARTY.render(PARTY.access(by.view, list(bound.values()), issuer), "native"))
    mine, strangers = (control_plane.token(namespace, name, [by.audience]) for name in ("reader", "stranger"))

    project, issued = sdk(strict, PARTY.sdk(by.view, bound[READER], paths), paths, mine).split()
    holder = strict.google.holder(issued)
    assert holder is not None
    assert (project, holder.service_account) == ("my-project", READER)

    _, issued = sdk(strict, PARTY.sdk(by.view, bound["direct"], paths), paths, mine).split()
    assert strict.google.has_direct_access(issued)

    said = sdk(strict, PARTY.sdk(by.view, bound[READER], paths), paths, strangers)
    assert said.startswith("refused")
    assert "rejected by the attribute condition" in said
    another = control_plane.token(namespace, "reader", ["https://other.example"])
    assert "does not match the expected audience" in sdk(
        strict, PARTY.sdk(by.view, bound["direct"], paths), paths, another
    )


def test_the_credential_file_follows_no_annotation(tmp_path: Path) -> None:
    """It says where the assertion is sent: part of what was admitted, never of what running pods take over."""
    paths = Paths("/t/token", "/c", "/f")
    made = PARTY.sdk(gcp_trust().view, gcp_binding().view(PARTY), paths)
    assert (list(made.files), list(made.fixed)) == ([], [CREDENTIALS_FILE])
    document = json.loads(made.fixed[CREDENTIALS_FILE])
    assert document["token_url"] == "https://sts.googleapis.com/v1/token"
    assert document["service_account_impersonation"] == {"token_lifetime_seconds": 3600}
    short = replace(gcp_trust().view, session_seconds=900)
    assert '"token_lifetime_seconds":900' in PARTY.sdk(short, gcp_binding().view(PARTY), paths).fixed[CREDENTIALS_FILE]
    direct = json.loads(
        PARTY.sdk(gcp_trust().view, gcp_binding(account="direct").view(PARTY), paths).fixed[CREDENTIALS_FILE]
    )
    assert not [key for key in direct if key.startswith("service_account")]
