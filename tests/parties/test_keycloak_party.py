"""Keycloak as a party: documents, rules, limits, what containers and sidecar are given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apostille.core.pod_plan import pod_plan
from apostille.parties import shell, terraform
from apostille.parties.keycloak import documents
from apostille.parties.keycloak.party import Keycloak
from apostille.parties.keycloak.rules import documents as judged
from builders import ISSUER
from oauth_declarations import KEYCLOAK_AUDIENCE, keycloak_binding, keycloak_trust
from self_hosted import READER

PARTY = Keycloak()
GRANTS = {"grant": "JWTBearer"}


def access(*bindings: Any, **spec: Any) -> documents.KeycloakAccess:
    return PARTY.access(keycloak_trust(**spec).view, [binding.view(PARTY) for binding in bindings], ISSUER)


def test_a_client_is_authenticated_by_its_subjects_tokens_alone() -> None:
    made = access(keycloak_binding(), ceilings={"sessionSeconds": 900})
    assert made.providers == {"kubernetes": documents.provider("kubernetes", ISSUER.url)}
    client = made.clients["payments-reader"]
    assert client["clientAuthenticatorType"] == "federated-jwt"
    assert client["attributes"] | {"jwt.credential.sub": READER, "jwt.credential.issuer": "kubernetes"} == dict(
        client["attributes"]
    )
    assert client["attributes"]["access.token.lifespan"] == "300"
    assert (client["serviceAccountsEnabled"], client["publicClient"], client["fullScopeAllowed"]) == (
        True,
        False,
        False,
    )
    assert made.users == {}


def test_a_grant_is_of_a_user_that_is_linked_to_the_subject() -> None:
    made = access(keycloak_binding(), settings=GRANTS, ceilings={"assertionSeconds": 1200})
    assert list(made.providers) == ["kubernetes", "kubernetes-grants"]
    config = made.providers["kubernetes-grants"]["config"]
    assert config["jwtAuthorizationGrantMaxAllowedAssertionExpiration"] == "1200"
    assert config["jwksUrl"] == f"{ISSUER.url}/openid/v1/jwks"
    link = {"identityProvider": "kubernetes-grants", "userId": READER, "userName": READER}
    assert made.users["payments-reader"]["federatedIdentities"] == [link]
    assert made.clients["payments-reader"]["serviceAccountsEnabled"] is False


def test_rendering_is_deterministic_and_reads_back() -> None:
    bindings = [keycloak_binding(), keycloak_binding("o", "orders", "orders-api")]
    one, other = access(*bindings, settings=GRANTS), access(*reversed(bindings), settings=GRANTS)
    assert one.canonical() == other.canonical()
    files = documents.render(one)
    assert list(files) == [
        "realm.json", "identity-provider-kubernetes.json", "identity-provider-kubernetes-grants.json",
        "client-orders-api.json", "client-payments-reader.json", "user-orders-api.json", "user-payments-reader.json",
    ]  # fmt: skip
    assert documents.render(documents.parse(files)) == files


@pytest.mark.parametrize(
    ("files", "match"),
    [({}, r"realm\.json"), ({"realm.json": "[]"}, r"realm\.json: must be an object"),
     ({"realm.json": "{}", "client-a.json": "no"}, r"client-a\.json")],
)  # fmt: skip
def test_a_broken_document_is_named(files: dict[str, str], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        documents.parse(files)


def test_the_audience_is_the_realms_issuer() -> None:
    assert keycloak_trust().audience == KEYCLOAK_AUDIENCE
    named = keycloak_trust(settings={"address": "https://k.example:8443/", "path": "/auth", "realm": "r"})
    assert named.audience == "https://k.example:8443/auth/realms/r"


def test_the_recipe_of_the_sidecar() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
    made = pod_plan(keycloak_trust(settings={"caBundle": pem}), keycloak_binding())
    admission, recipe = made.frozen.admission, made.live.recipe
    assert admission is not None
    assert recipe is not None
    endpoints = f"{KEYCLOAK_AUDIENCE}/protocol/openid-connect"
    assert (admission.grant, admission.endpoint) == ("ClientAssertion", f"{endpoints}/token")
    assert (admission.endpoints, admission.settings) == (
        {"revocation": f"{endpoints}/revoke"},
        {"clientAssertion": "true"},
    )
    assert (recipe.parameters, admission.ca) == ({}, pem)
    assert made.frozen.environment == {
        "KEYCLOAK_ISSUER": KEYCLOAK_AUDIENCE,
        "KEYCLOAK_TOKEN_FILE": "/var/run/apostille.dev/api/token",
        "KEYCLOAK_CA_FILE": "/etc/apostille.dev/api/ca.pem",
    }
    grant = pod_plan(keycloak_trust(settings=GRANTS), keycloak_binding()).frozen.admission
    assert grant is not None
    assert grant.grant == "JWTBearer"


@pytest.mark.parametrize(
    ("settings", "spec", "rules"),
    [
        ({}, {}, []),
        ({}, {"audience": "https://keycloak.example/realms/payments/"}, ["KEY103"]),
        ({}, {"audience": "sts.amazonaws.com"}, ["KEY103"]),
        ({}, {"ceilings": {"assertionSeconds": 3601}}, ["KEY102"]),
        ({"caBundle": "no"}, {}, ["APO603"]),
    ],
)
def test_declarations(settings: dict[str, Any], spec: dict[str, Any], rules: list[str]) -> None:
    found = PARTY.findings(keycloak_trust(settings=settings, **spec).view, [keycloak_binding().view(PARTY)], ISSUER)
    assert [finding.rule.id for finding in found] == rules


@pytest.mark.parametrize(
    ("name", "good"),
    [("payments-reader", True), ("a.b_c", True), ("a" * 128, True), ("ab", False), ("A-client", False), ("", False),
     ("a/b", False), ("a" * 129, False), ("*", False), ("-ab", False), ("abc\n", False)],
)  # fmt: skip
def test_targets(name: str, good: bool) -> None:
    assert [f.rule.id for f in PARTY.check_target_id(keycloak_trust().view, name, "p")] == ([] if good else ["KEY101"])


def test_a_client_is_for_one_subject_and_the_younger_binding_is_named() -> None:
    first = keycloak_binding().view(PARTY)
    second = keycloak_binding("more", "orders").view(PARTY)
    (limit,) = PARTY.limits(keycloak_trust().view, [second, first], ISSUER)
    assert (limit.used, limit.most, limit.over) == (2, 1, "payments/api")
    kept = PARTY.access(keycloak_trust().view, [second, first], ISSUER).clients["payments-reader"]
    assert kept["attributes"]["jwt.credential.sub"] == "system:serviceaccount:orders:reader", "the elder's"


def test_a_subject_is_one_client() -> None:
    views = [keycloak_binding().view(PARTY), keycloak_binding("more", client="payments-writer").view(PARTY)]
    (found,) = PARTY.findings(keycloak_trust().view, views, None)
    assert (found.rule.id, found.path) == ("KEY105", "spec.allow")
    claims = {"iss": ISSUER.url, "sub": READER, "aud": [KEYCLOAK_AUDIENCE]}
    both = PARTY.access(keycloak_trust().view, views, ISSUER)
    assert PARTY.evaluate(both, claims, "payments-reader").reason == "Misconfigured"


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({}, []),
        ({"clientAuthenticatorType": "client-secret"}, ["KEY202"]),
        ({"clientAuthenticatorType": None}, ["KEY202"]),
        ({"publicClient": True}, ["KEY202"]),
        ({"attributes": {}}, ["KEY203"]),
        ({"attributes": {"jwt.credential.issuer": "k", "jwt.credential.sub": ""}}, ["KEY203"]),
        ({"attributes": {"jwt.credential.issuer": "k", "jwt.credential.sub": "system:serviceaccount:a:default"}},
         ["KEY204"]),
        ({"fullScopeAllowed": True}, ["KEY201"]),
        ({"fullScopeAllowed": None}, []),
        ({"standardFlowEnabled": True}, ["KEY205"]),
        ({"directAccessGrantsEnabled": True}, ["KEY205"]),
    ],
)  # fmt: skip
def test_documents_of_clients(changes: dict[str, Any], rules: list[str]) -> None:
    made = access(keycloak_binding())
    client = {**made.clients["payments-reader"], **changes}
    found = list(judged(documents.KeycloakAccess(made.realm, made.providers, {"c": client})))
    assert [finding.rule.id for finding in found] == rules
    assert all(finding.path.startswith("client-c.json:") for finding in found)


def test_documents_of_others() -> None:
    made = access(keycloak_binding(), settings=GRANTS)
    assert list(judged(made)) == []
    once = {**made.providers["kubernetes-grants"], "config": {}}
    roles = {"username": "u", "clientRoles": {"realm-management": ["realm-admin"]}}
    found = judged(documents.KeycloakAccess(made.realm, {"g": once}, {}, {"u": roles}))
    assert [(one.rule.id, one.path) for one in found] == [
        ("KEY206", "identity-provider-g.json:config"),
        ("KEY201", "user-u.json:clientRoles"),
    ]
    exported = {"clientId": "c", "clientAuthenticatorType": "client-secret"}
    found = judged(documents.KeycloakAccess(made.realm, {}, {"c": exported}))
    assert [one.rule.id for one in found] == ["KEY202", "KEY201", "KEY205"], "what is left out is on"


def test_commands_and_resources_say_the_same() -> None:
    made = access(keycloak_binding(), settings=GRANTS)
    script = PARTY.render(made, "cli")[shell.FILE]
    for document in (*made.providers.values(), *made.clients.values()):
        assert json.dumps(document, separators=(",", ":")) in script
    document = json.loads(PARTY.render(made, "terraform")[terraform.FILE])["resource"]
    assert document["keycloak_kubernetes_identity_provider"] == {
        "kubernetes": {"realm": "payments", "alias": "kubernetes", "issuer": ISSUER.url}
    }
    client = document["keycloak_openid_client"]["payments-reader"]
    assert client["extra_config"]["jwt.credential.sub"] == READER
    assert (client["access_token_lifespan"], client["full_scope_allowed"]) == ("1200", False)
    assert document["keycloak_user"]["payments-reader"]["federated_identity"][0]["user_id"] == READER
