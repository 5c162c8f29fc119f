"""Our judgement of Hydra's documents against a real Ory Hydra, with real and with faulty tokens."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from apostille.model.identity import Issuer as IssuerFacts
from apostille.parties import shell
from apostille.parties.oauth.documents import OAuthAccess
from apostille.parties.oauth.party import OAuth
from apostille_testbed.parties.hydra.party import HydraParty, HydraRefused
from oauth_declarations import oauth_binding, oauth_trust
from real_servers import World, facts, run_script
from self_hosted import READER, STRANGERS, URL

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("oauth")]

PARTY = OAuth()
HW = World[HydraParty]
WRITER = "system:serviceaccount:orders:writer"
SCOPES = {"api": "read write", "reports": "reports"}
# Hydra's words → the reason that our evaluator gives.
WORDS = (
    ("No public JWK was registered", "IssuerUnknown SubjectMismatch"),
    ("'aud' (audience) claim", "AudienceMismatch"),
    ("is not allowed to request scope", "ConditionRejected"),
    ("OAuth 2.0 Client is not allowed to request scope", "ConditionRejected"),
)
_numbers = itertools.count()


def jti() -> str:
    """Each assertion is taken once."""
    return f"jti-{next(_numbers)}"


def writer(target: str = "reports") -> Any:
    return oauth_binding("w", "orders", target, subject={"serviceAccountNames": ["writer"]})


def access(world: HW, *bindings: Any, issuer: IssuerFacts | None = None, apply: bool = True) -> OAuthAccess:
    """Declared, rendered and applied."""
    by = oauth_trust("Hydra", settings={"tokenEndpoint": world.server.token_endpoint})
    assert by.audience == world.server.token_endpoint
    known = issuer or facts(URL, world.issuer.jwks)
    made = PARTY.access(by.view, [one.view(PARTY) for one in bindings], known)
    if apply:
        world.server.apply(PARTY.render(made, "native"))
    return made


def faults(world: HW) -> Mapping[str, tuple[str, str]]:
    """cloud-trust §18.4: a token with one fault → what Hydra says of it, empty where it is none."""
    now, audience = int(time.time()), world.server.token_endpoint

    def changed(**changes: Any) -> str:
        return world.token(
            changes.pop("audience", audience), changes.pop("subject", READER), **{"jti": jti()} | changes
        )

    def claims() -> dict[str, Any]:
        return world.issuer.claims(READER, audience, jti=jti())

    unknown = "No public JWK was registered"
    return {
        "none": (changed(), ""),
        "wrong issuer": (changed(iss="https://evil.example"), unknown),
        "issuer with a slash": (changed(iss=URL + "/"), unknown),
        "wrong audience": (changed(audience="https://other.example"), "'aud' (audience) claim"),
        "issuer as audience": (changed(audience=world.server.url), "'aud' (audience) claim"),
        "longer subject": (changed(subject=READER + "2"), unknown),
        "shorter subject": (changed(subject=READER[:-1]), unknown),
        "expired": (changed(exp=now - 30), "assertion' request parameter expired"),
        "not yet": (changed(nbf=now + 300), "'nbf' (not before) claim"),
        "no end": (changed(exp=None), "MUST contain an 'exp'"),
        "no id": (changed(jti=None), "MUST contain an 'jti'"),
        "a month long": (changed(exp=now + 32 * 86400), "unreasonably far in the future"),
        "unsigned": (world.issuer.unsigned(claims()), "invalid_grant"),
        "public key as a secret": (world.issuer.symmetric(claims()), "Unable to verify the integrity"),
        "unknown key": (world.issuer.sign(claims(), {"alg": "RS256", "kid": "another"}), unknown),
        "changed after signing": (changed()[:-12] + "AAAAAAAAAAAA", "Unable to verify the integrity"),
        "further claims": (changed(azp="other", groups=["admin"]), ""),
        "two audiences": (changed(audience=[audience, "https://other.example"]), ""),
    }


def test_the_negative_matrix(hydra: HW) -> None:
    access(hydra, oauth_binding())
    for fault, (token, words) in faults(hydra).items():
        answer = hydra.server.exchange(token, "api", scope="read")
        assert (answer.status == 200) == (words == ""), f"{fault}: {answer.error}"
        assert words in answer.error, f"{fault}: {answer.error}"


def test_an_assertion_is_taken_once(hydra: HW) -> None:
    access(hydra, oauth_binding())
    token = hydra.token(hydra.server.token_endpoint, jti=jti())
    assert hydra.server.exchange(token, "api", scope="read").status == 200
    again = hydra.server.exchange(token, "api", scope="read")
    assert (again.status, again.body["error"]) == (400, "jti_known")


presented = st.fixed_dictionaries(
    {
        "sub": st.sampled_from([READER, READER, WRITER, *STRANGERS]),
        "iss": st.sampled_from([URL] * 5 + ["https://evil.example"]),
        "aud": st.lists(st.sampled_from(["own", "own", "other"]), min_size=1, max_size=2),
    }
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(claims=presented, target=st.sampled_from(["api", "reports"]), both=st.booleans())
def test_any_claims_are_judged_alike(hydra: HW, claims: dict[str, Any], target: str, both: bool) -> None:
    bindings = (oauth_binding(), writer(), *([oauth_binding("more", identity="reports")] if both else []))
    made = access(hydra, *bindings)
    audiences = [hydra.server.token_endpoint if one == "own" else "https://other.example" for one in claims["aud"]]
    judged = {**claims, "aud": audiences}
    token = hydra.token(audiences, claims["sub"], iss=claims["iss"], jti=jti())
    answer = hydra.server.exchange(token, target, scope=SCOPES[target])
    ours = PARTY.evaluate(made, judged, target)
    event("allowed" if ours.allowed else ours.reason)
    assert ours.allowed == (answer.status == 200), f"{answer.error} {judged} {ours}"
    if not ours.allowed:
        assert any(ours.reason in known for words, known in WORDS if words in answer.error), answer.error


def test_real_tokens_and_a_real_rotation(hydra: HW) -> None:
    """Keys are given to Hydra: after a rotation nothing is accepted until the new key is."""
    cluster, audience = hydra.cluster, hydra.server.token_endpoint
    for namespace in ("payments", "orders"):
        hydra.account(namespace, "reader")
    before = access(hydra, oauth_binding(), issuer=hydra.facts)

    def ask(namespace: str, to: str = audience) -> int:
        token = hydra.real_token(to, namespace, "reader", 600)
        return hydra.server.exchange(token, "api", scope="read write").status

    token = hydra.real_token(audience, "payments", "reader", 600)
    got = hydra.server.exchange(token, "api", scope="read write")
    assert (got.status, got.body["scope"], got.body["expires_in"]) == (200, "read write", pytest.approx(3600, abs=5))
    assert hydra.server.introspect(got.body["access_token"])["sub"] == READER
    assert (ask("orders"), ask("payments", "https://other.example")) == (400, 400)

    cluster.rotate_service_account_key()
    assert ask("payments") == 400
    made = access(hydra, oauth_binding(), issuer=hydra.facts)
    assert len(made.named("trust-")) == len(before.named("trust-")) + 1, "the old keys and the new one"
    assert (ask("payments"), ask("orders")) == (200, 400)

    access(hydra, oauth_binding("o", "orders"), issuer=hydra.facts)
    assert (ask("payments"), ask("orders")) == (400, 200)
    access(hydra, issuer=hydra.facts)
    assert ask("orders") == 401, "nobody is bound, and the client is gone too"


def test_the_script_makes_what_the_documents_say(hydra: HW) -> None:
    """By curl, twice: the first time there is nothing, the second everything."""
    server = hydra.server
    server.apply({})
    made = access(hydra, oauth_binding(), writer(), apply=False)
    where = {"HYDRA_ADMIN_URL": f"https://127.0.0.1:{server.admin_port}", "CURL_CA_BUNDLE": str(server.ca)}
    for _ in range(2):
        run_script(PARTY.render(made, "cli")[shell.FILE], where)
        for subject, target in ((READER, "api"), (WRITER, "reports"), (STRANGERS[0], "api")):
            token = hydra.token(server.token_endpoint, subject, jti=jti())
            answer = server.exchange(token, target, scope=SCOPES[target])
            assert (answer.status == 200) == (subject in (READER, WRITER)), answer.error


def test_what_hydra_would_not_take_is_named(hydra: HW) -> None:
    with pytest.raises(HydraRefused, match=r"trust-a\.json"):
        hydra.server.apply({"trust-a.json": "{}"})
    access(hydra, oauth_binding())
