"""Our judgement of Keycloak's documents against a real Keycloak, with real and with faulty tokens."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from apostille.model.identity import Issuer as IssuerFacts
from apostille.parties import shell
from apostille.parties.keycloak.documents import KeycloakAccess
from apostille.parties.keycloak.party import Keycloak
from apostille_testbed.parties.keycloak.party import CLIENT_ASSERTION, Answer, KeycloakParty
from oauth_declarations import keycloak_binding, keycloak_trust
from real_servers import World, run_script
from self_hosted import FACTS, READER, STRANGERS, URL

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("oauth")]

PARTY = Keycloak()
KW = World[KeycloakParty]
CLIENTS, GRANTS = "clients", "grants"
"""Realms; making one takes a second."""
WRITER = "system:serviceaccount:orders:writer"
# Keycloak's words → the reasons that our evaluator gives. A client that is not found is not told why.
WORDS = (
    ("Invalid client or Invalid client credentials", "IssuerUnknown SubjectMismatch Misconfigured TargetMissing"),
    ("No Identity Provider", "IssuerUnknown"),
    ("User not found", "SubjectMismatch"),
    ("Missing claim: sub", "SubjectMismatch"),
    ("audience", "AudienceMismatch"),
    ("audiences", "AudienceMismatch"),
    ("not supported for the requested client", "Misconfigured"),
    ("not enabled to retrieve service account", "Misconfigured"),
)


def access(world: KW, realm: str, *bindings: Any, issuer: IssuerFacts = FACTS, **settings: Any) -> KeycloakAccess:
    """Declared, rendered and applied."""
    by = keycloak_trust(settings={"address": world.server.url, "realm": realm, **settings})
    assert by.audience == world.server.issuer(realm)
    made = PARTY.access(by.view, [one.view(PARTY) for one in bindings], issuer)
    world.server.apply(realm, PARTY.render(made, "native"))
    return made


def as_client(world: KW, realm: str) -> Callable[[str], Answer]:
    return lambda assertion: world.server.client_credentials(realm, assertion)


def as_grant(world: KW, realm: str) -> Callable[[str], Answer]:
    """As the sidecar does it: one token authenticates the client and is the grant."""
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "client_assertion_type": CLIENT_ASSERTION,
    }
    return lambda assertion: world.server.token(realm, {**form, "assertion": assertion, "client_assertion": assertion})


def faults(world: KW, audience: str) -> Mapping[str, tuple[str, str]]:
    """cloud-trust §18.4: a token with one fault → what Keycloak says of it, empty where it is none."""
    now = int(time.time())
    generic = "Invalid client or Invalid client credentials"
    claims = world.issuer.claims(READER, audience, jti="one")

    def changed(**changes: Any) -> str:
        return world.token(changes.pop("audience", audience), changes.pop("subject", READER), **{"jti": "x"} | changes)

    return {
        "none": (changed(), ""),
        "wrong issuer": (changed(iss="https://evil.example"), generic),
        "issuer with a slash": (changed(iss=URL + "/"), generic),
        "wrong audience": (changed(audience="https://other.example"), "Invalid token audience"),
        "token endpoint as audience": (
            changed(audience=f"{audience}/protocol/openid-connect/token"), "Invalid token audience"),
        "two audiences": (changed(audience=[audience, "https://other.example"]), "Multiple audiences not allowed"),
        "longer subject": (changed(subject=READER + "2"), generic),
        "shorter subject": (changed(subject=READER[:-1]), generic),
        "other case": (changed(subject=READER.upper()), generic),
        "expired": (changed(exp=now - 30), "Token is not active"),
        "not yet": (changed(nbf=now + 300), "Token is not active"),
        "from the future": (changed(iat=now + 300), "Token was issued in the future"),
        "older than an hour": (changed(iat=now - 3660, nbf=now - 3660, exp=now + 600), "issued too far in the past"),
        "no end": (changed(exp=None), "Token exp claim is required"),
        "unsigned": (world.issuer.unsigned(claims), "Invalid signature algorithm"),
        "public key as a secret": (world.issuer.symmetric(claims), "Invalid signature algorithm"),
        "unknown key": (world.issuer.sign(claims, {"alg": "RS256", "kid": "another"}), generic),
        "changed after signing": (changed()[:-12] + "AAAAAAAAAAAA", generic),
        "no key id": (world.issuer.sign(claims, {"alg": "RS256"}), ""),
        "further claims": (changed(azp="other", groups=["admin"]), ""),
        "a day long": (changed(exp=now + 86400), ""),
        "again": (changed(jti="one"), ""),
    }  # fmt: skip


def test_the_negative_matrix(keycloak: KW) -> None:
    made = access(keycloak, CLIENTS, keycloak_binding())
    ask = as_client(keycloak, CLIENTS)
    for fault, (token, words) in faults(keycloak, made.issuer).items():
        answer = ask(token)
        assert (answer.status == 200) == (words == ""), f"{fault}: {answer.error}"
        assert words in answer.error, f"{fault}: {answer.error}"


def test_the_negative_matrix_of_grants(keycloak: KW) -> None:
    """The grant is judged apart from the client: a good token authenticates, a faulty one is the grant."""
    made = access(keycloak, GRANTS, keycloak_binding(), grant="JWTBearer")
    good = keycloak.token(made.issuer, jti="good")
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "client_assertion_type": CLIENT_ASSERTION}
    for fault, (token, words) in faults(keycloak, made.issuer).items():
        answer = keycloak.server.token(GRANTS, {**form, "assertion": token, "client_assertion": good})
        # Of a grant the endpoint is an audience too; of the client, which the same token authenticates, it is not.
        alone = words == "" or fault == "token endpoint as audience"
        assert (answer.status == 200) == alone, f"{fault}: {answer.error}"
        both = as_grant(keycloak, GRANTS)(token)
        assert (both.status == 200) == (words == ""), f"{fault}: {both.error}"
    whose = as_grant(keycloak, GRANTS)(good)
    assert whose.claims["preferred_username"] == "payments-reader"


changes = st.fixed_dictionaries(
    {
        "sub": st.sampled_from([READER, WRITER, *STRANGERS, "system:serviceaccount:off:off", "twice"]),
        "iss": st.sampled_from([URL] * 5 + ["https://evil.example"]),
        "aud": st.lists(st.sampled_from(["own", "own", "own", "other"]), min_size=1, max_size=2).map(tuple),
    }
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(presented=changes, grants=st.booleans())
def test_any_claims_are_judged_alike(
    keycloak: KW, judged: Mapping[bool, KeycloakAccess], presented: dict[str, Any], grants: bool
) -> None:
    made = judged[grants]
    realm = made.realm_name
    audiences = [made.issuer if one == "own" else "https://other.example" for one in presented["aud"]]
    claims = {**presented, "aud": audiences}
    token = keycloak.token(audiences, presented["sub"], iss=presented["iss"], jti="x")
    answer = (as_grant if grants else as_client)(keycloak, realm)(token)
    verdicts = [PARTY.evaluate(made, claims, name) for name in made.clients]
    reasons = {one.reason for one in verdicts}
    event("allowed" if answer.status == 200 else answer.error)
    assert any(one.allowed for one in verdicts) == (answer.status == 200), f"{answer.error} {claims} {verdicts}"
    if answer.status != 200:
        told = [reason for words, known in WORDS if words in answer.error for reason in known.split()]
        assert reasons & set(told), f"{answer.error} {reasons}"


@pytest.fixture
def judged(keycloak: KW) -> Mapping[bool, KeycloakAccess]:
    """Two realms with clients of every kind: bound, another's, switched off, without a service account or a user."""
    made = {}
    for grants in (False, True):
        realm = GRANTS if grants else CLIENTS
        bindings = (
            keycloak_binding(),
            keycloak_binding("w", "orders", "orders-writer", subject={"serviceAccountNames": ["writer"]}),
            keycloak_binding("o", "off", "off-off", subject={"serviceAccountNames": ["off"]}),
            keycloak_binding("n", "none", "none-none", subject={"serviceAccountNames": ["none"]}),
        )
        one = access(keycloak, realm, *bindings, **({"grant": "JWTBearer"} if grants else {}))
        files = dict(PARTY.render(one, "native"))
        off = json.loads(files["client-off-off.json"])
        files["client-off-off.json"] = json.dumps({**off, "enabled": False})
        if grants:
            del files["user-none-none.json"]
        keycloak.server.apply(realm, files)
        made[grants] = PARTY.parse(files)
    return made


def test_real_tokens_and_a_real_rotation(keycloak: KW) -> None:
    """What is declared for a real cluster: bound accounts get in, others do not, also after its key has changed."""
    cluster = keycloak.cluster
    for namespace, name in (("payments", "reader"), ("payments", "reader2"), ("orders", "reader")):
        keycloak.account(namespace, name)
    made = access(keycloak, CLIENTS, keycloak_binding(), issuer=keycloak.facts)
    ask = as_client(keycloak, CLIENTS)

    def token(namespace: str, name: str) -> str:
        return keycloak.real_token(made.issuer, namespace, name)

    got = ask(token("payments", "reader"))
    assert (got.status, got.claims["client_id"]) == (200, "payments-reader")
    assert got.body["expires_in"] <= 3600
    assert ask(keycloak.real_token("https://other.example", "payments", "reader")).status == 400
    assert ask(token("payments", "reader2")).status == 401
    assert ask(token("orders", "reader")).status == 401

    cluster.rotate_service_account_key()
    fresh = token("payments", "reader")
    give_up = time.monotonic() + 60
    while (again := ask(fresh)).status != 200 and time.monotonic() < give_up:
        time.sleep(0.2)
    assert again.status == 200, again.error
    assert ask(token("orders", "reader")).status == 401

    access(keycloak, CLIENTS, keycloak_binding("o", "orders"), issuer=keycloak.facts)
    assert ask(fresh).status == 401, "the client is another's now"
    assert ask(token("orders", "reader")).status == 200
    access(keycloak, CLIENTS, issuer=keycloak.facts)
    assert ask(token("orders", "reader")).status == 401, "nobody is bound"


def test_the_script_makes_what_the_documents_say(keycloak: KW) -> None:
    """With Keycloak's own command line, twice: the first time there is nothing, the second everything."""
    server, realm = keycloak.server, "by-script"
    server.apply(realm, {})
    by = keycloak_trust(settings={"address": server.url, "realm": realm, "grant": "JWTBearer"})
    made = PARTY.access(by.view, [keycloak_binding().view(PARTY)], FACTS)
    ask, environment = as_grant(keycloak, realm), server.administer()
    for _ in range(2):
        run_script(PARTY.render(made, "cli")[shell.FILE], environment)
        assert ask(keycloak.token(made.issuer, jti="script")).status == 200
        assert ask(keycloak.token(made.issuer, STRANGERS[0], jti="script")).status == 401
