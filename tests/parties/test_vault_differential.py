"""Our judgement of Vault's documents against a real Vault: roles that nobody would write, and what is rendered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from apostille.parties import shell
from apostille.parties.vault import documents
from apostille.parties.vault.documents import VaultAccess
from apostille.parties.vault.evaluate import evaluate
from apostille.parties.vault.party import Vault
from apostille_testbed.parties import party
from apostille_testbed.parties.openbao import OpenBaoParty
from apostille_testbed.parties.vault import VaultParty
from real_servers import run_script
from self_hosted import FACTS, READER, STRANGERS, URL, VAULT_AUDIENCE, VAULTS, issuer_site, vault_binding, vault_trust
from testbed.strict_sts_issuer import Issuer

pytestmark = pytest.mark.e2e

PARTY = Vault()
AUDIENCES = ["a", "b", VAULT_AUDIENCE]
SUBJECTS = [READER, *STRANGERS, "system:serviceaccount:payments:read"]
# Vault's words → the reason that our evaluator gives.
WORDS = (
    ("invalid issuer", "IssuerUnknown"),
    ("invalid subject", "SubjectMismatch"),
    ("invalid audience", "AudienceMismatch"),
    ("no audiences bound", "AudienceMismatch"),
    ("could not be found", "TargetMissing"),
    ("role_type is not allowed", "Misconfigured"),
    ("not found in token", "ConditionRejected"),
    ("could not be converted to string", "ConditionRejected"),
    ("error validating claims", "SubjectMismatch ConditionRejected"),
)


@pytest.fixture(scope="module", params=VAULTS)
def vault(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Issuer, VaultParty]]:
    with issuer_site(tmp_path_factory.mktemp("issuer")) as (issuer, site), party(request.param, site=site) as running:
        running.apply("jwt", documents.render(VaultAccess(documents.config(URL, ["RS256"]), {})))
        yield issuer, running


patterns = st.sampled_from(
    [*SUBJECTS, "*", "system:serviceaccount:payments:*", "system:*:reader", "pay*", "payments", ""]
)
values = st.one_of(patterns, st.lists(patterns, min_size=1, max_size=3), st.booleans())
roles = st.fixed_dictionaries(
    {
        "role_type": st.sampled_from(["jwt"] * 7 + ["oidc"]),
        "user_claim": st.sampled_from(["sub", "sub", "sub", "iss", "missing", "/kubernetes.io/namespace", "aud"]),
        "user_claim_json_pointer": st.booleans(),
        "bound_audiences": st.lists(st.sampled_from(AUDIENCES), max_size=3),
        "bound_subject": st.sampled_from(["", "", *SUBJECTS]),
        "bound_claims_type": st.sampled_from(["string", "glob"]),
        "bound_claims": st.dictionaries(
            st.sampled_from(["sub", "/sub", "/kubernetes.io/namespace", "/kubernetes.io/serviceaccount/name",
                             "/kubernetes.io/pod/name", "flag", "groups", "/a~1b"]),
            values,
            max_size=2,
        ),
    }
)  # fmt: skip
claims = st.fixed_dictionaries(
    {
        "sub": st.sampled_from(SUBJECTS),
        "aud": st.one_of(st.sampled_from(AUDIENCES), st.lists(st.sampled_from(AUDIENCES), max_size=2)),
        "iss": st.sampled_from([URL] * 5 + ["https://evil.example"]),
    },
    optional={
        "kubernetes.io": st.fixed_dictionaries(
            {"namespace": st.sampled_from(["payments", "orders"])},
            optional={"serviceaccount": st.fixed_dictionaries({"name": st.sampled_from(["reader", "x"])})},
        ),
        "groups": st.lists(st.sampled_from(["payments", "x"]), max_size=2),
        "flag": st.booleans(),
        "a/b": st.sampled_from(["payments", "x"]),
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(role=roles, presented=claims)
def test_any_role_and_any_claims(
    vault: tuple[Issuer, VaultParty], role: dict[str, Any], presented: dict[str, Any]
) -> None:
    issuer, server = vault
    body = role | ({"allowed_redirect_uris": ["https://x.example"]} if role["role_type"] == "oidc" else {})
    written = server.call("POST", "auth/jwt/role/any", server.root_token, body)
    if written.status != 204:
        event("Vault refuses the role")
        assert written.status == 400, written.errors
        return
    try:
        answer = server.login("jwt", "any", issuer.token(presented["sub"], presented["aud"], **presented))
    finally:
        server.call("DELETE", "auth/jwt/role/any", server.root_token)
    seen = presented
    if isinstance(server, OpenBaoParty) and role["user_claim_json_pointer"] and isinstance(presented["aud"], str):
        seen = presented | {"aud": [presented["aud"]]}  # where Vault has the one string, OpenBao has a list
    ours = evaluate(VaultAccess(documents.config(URL, ["RS256"]), {"any": role}), seen, "any")
    event(f"{'allowed' if ours.allowed else ours.reason}")
    assert ours.allowed == (answer.status == 200), f"{answer.errors} {role} {presented}"
    if not ours.allowed:
        assert any(ours.reason in reasons for words, reasons in WORDS if words in answer.errors), answer.errors


@pytest.mark.parametrize("several", [False, True])
def test_what_is_rendered_from_declarations(vault: tuple[Issuer, VaultParty], several: bool) -> None:
    """Two strangers are refused, the bound identity is accepted, and nothing of its token may differ."""
    issuer, server = vault
    bindings = [vault_binding(), *([vault_binding("o", "orders")] if several else [])]
    by = vault_trust()
    made = PARTY.access(by.view, [one.view(PARTY) for one in bindings], FACTS)
    server.apply("jwt", PARTY.render(made, "native"))
    subjects = [subject for one in bindings for subject in one.view(PARTY).subjects]
    changes: list[tuple[str, dict[str, Any]]] = [(subject, {}) for subject in (*subjects, *STRANGERS)]
    changes += [(READER, {"aud": "other"}), (READER, {"aud": []}), (READER, {"iss": "https://evil.example"})]
    changes += [(READER, {"aud": [by.audience, "other"]})]
    for subject, changed in changes:
        token = {"iss": URL, "sub": subject, "aud": [by.audience], **changed}
        answer = server.login("jwt", "payments-reader", issuer.token(subject, [by.audience], **changed))
        verdict = PARTY.evaluate(made, token, "payments-reader")
        assert (answer.status == 200) == verdict.allowed, f"{subject} {changed}: {answer.errors}"
        assert verdict.allowed == (
            subject in subjects and changed.get("aud", by.audience) not in ("other", []) and "iss" not in changed
        )
    gone = issuer.token(READER, by.audience, iat=1_600_000_000, nbf=1_600_000_000, exp=1_600_003_600)
    assert "token is expired" in server.login("jwt", "payments-reader", gone).errors
    server.apply("jwt", PARTY.render(PARTY.access(by.view, (), FACTS), "native"))
    assert server.login("jwt", "payments-reader", issuer.token(READER, by.audience)).status == 400


def test_the_script_makes_what_the_documents_say(vault: tuple[Issuer, VaultParty]) -> None:
    """With Vault's own command line, twice: the first time there is nothing, the second everything."""
    _, server = vault
    trust = vault_trust(settings={"mount": "by-script"})
    made = PARTY.access(trust.view, [vault_binding().view(PARTY)], FACTS)
    environment = {
        "HOME": str(server.directory), "VAULT": str(server.program),
        "VAULT_ADDR": server.url, "VAULT_CACERT": str(server.ca), "VAULT_TOKEN": server.root_token,
    }  # fmt: skip
    for _ in range(2):
        run_script(PARTY.render(made, "cli")[shell.FILE], environment)
        for name, wanted in made.roles.items():
            there = server.call("GET", f"auth/by-script/role/{name}", server.root_token).body["data"]
            assert {key: there[key] or type(value)() for key, value in wanted.items()} == wanted
        there = server.call("GET", "auth/by-script/config", server.root_token).body["data"]
        assert {key: there[key] for key in made.config} == made.config
