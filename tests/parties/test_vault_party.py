"""Vault as a party: documents, rules, what containers and sidecar are given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apostille.core.pod_plan import pod_plan
from apostille.parties.vault import documents
from apostille.parties.vault.evaluate import glob
from apostille.parties.vault.party import Vault
from apostille.parties.vault.rules import documents as judged
from apostille.parties.vault.rules import seconds
from builders import ISSUER
from self_hosted import READER, VAULT_AUDIENCE, vault_binding, vault_trust

PARTY = Vault()
ORDERS = "system:serviceaccount:orders:reader"


def access(*bindings: Any, **spec: Any) -> documents.VaultAccess:
    return PARTY.access(vault_trust(**spec).view, [binding.view(PARTY) for binding in bindings], ISSUER)


def test_one_subject_is_bound_as_such_and_several_as_a_list() -> None:
    made = access(
        vault_binding(), vault_binding("o", "orders", "orders"), vault_binding("p", "orders", "payments-reader")
    )
    assert list(made.roles) == ["orders", "payments-reader"]
    one, several = made.roles["orders"], made.roles["payments-reader"]
    assert (one["bound_subject"], one["bound_claims"]) == (ORDERS, {})
    assert (several["bound_subject"], several["bound_claims"]) == ("", {"sub": [ORDERS, READER]})
    assert {role["bound_claims_type"] for role in made.roles.values()} == {"string"}


def test_policies_are_written_only_where_they_are_declared() -> None:
    made = access(vault_binding(), vault_binding("o", "orders", "orders"))
    assert made.roles["payments-reader"]["token_policies"] == ["payments-ro"]
    assert "token_policies" not in made.roles["orders"], "a role that others furnish keeps what they gave it"


def test_the_ceiling_bounds_the_session_and_a_third_of_it_a_token_that_nobody_renews() -> None:
    role = access(vault_binding(), ceilings={"sessionSeconds": 900}).roles["payments-reader"]
    assert (role["token_ttl"], role["token_max_ttl"], role["token_period"]) == (300, 900, 0)


def test_the_audience_is_the_methods_own_unless_another_is_named() -> None:
    assert vault_trust().audience == VAULT_AUDIENCE
    named = vault_trust(settings={"address": "https://v.example/", "namespace": "a/b", "mount": "jwt/c"})
    assert named.audience == "https://v.example/v1/a/b/auth/jwt/c"
    assert vault_trust(audience="https://x.example").audience == "https://x.example"


def test_rendering_is_deterministic_and_reads_back() -> None:
    bindings = [vault_binding(), vault_binding("o", "orders", "orders"), vault_binding("p", "orders")]
    one, other = access(*bindings), access(*reversed(bindings))
    assert one.canonical() == other.canonical()
    files = documents.render(one)
    assert list(files) == ["config.json", "role-orders.json", "role-payments-reader.json"]
    assert documents.parse(files) == one
    assert documents.render(documents.parse(files)) == files


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({}, r"config\.json"),
        ({"config.json": "no"}, r"config\.json"),
        ({"config.json": "[]"}, r"config\.json: must be an object"),
        ({"config.json": "{}", "role-a.json": "[]"}, r"role-a\.json"),
    ],
)
def test_a_broken_document_is_named(files: dict[str, str], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        documents.parse(files)


def test_the_recipe_of_the_sidecar() -> None:
    pem = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
    settings = {"address": "https://vault.example:8200/", "namespace": "team", "mount": "jwt-a", "caBundle": pem}
    made = pod_plan(vault_trust(settings=settings, ceilings={"sessionSeconds": 1800}), vault_binding())
    admission, recipe = made.frozen.admission, made.live.recipe
    assert made.frozen.delivery == "Sidecar", "Auto is the sidecar: no client logs in from a token file"
    assert admission is not None
    assert recipe is not None
    assert (admission.grant, admission.endpoint) == ("VaultJWT", "https://vault.example:8200/v1/team/auth/jwt-a/login")
    assert (admission.ca, admission.session_seconds) == (pem, 1800)
    assert [(o.path, o.format) for o in admission.outputs] == [("/var/run/apostille.dev/db/token", "token")]
    assert recipe.parameters == {"role": "payments-reader"}
    assert made.frozen.environment == {
        "VAULT_ADDR": "https://vault.example:8200",
        "VAULT_NAMESPACE": "team",
        "VAULT_CACERT": "/etc/apostille.dev/db/ca.pem",
        "VAULT_TOKEN_FILE": "/var/run/apostille.dev/db/token",
    }
    assert made.live.files == {"ca.pem": pem}


def test_another_role_is_for_running_pods_another_server_is_not() -> None:
    here = pod_plan(vault_trust(), vault_binding())
    role = pod_plan(vault_trust(), vault_binding(role="orders"))
    server = pod_plan(
        vault_trust(settings={"address": "https://other.example"}, audience=VAULT_AUDIENCE), vault_binding()
    )
    assert (role.frozen.digest, role.live) != (here.frozen.digest, here.live)
    assert role.frozen.digest == here.frozen.digest
    assert server.frozen.digest != here.frozen.digest


@pytest.mark.parametrize(
    ("settings", "spec", "rules"),
    [
        ({}, {}, []),
        ({"roles": [{"name": "a", "policies": ["x", "Root"]}]}, {}, ["VLT102"]),
        ({"roles": [{"name": "a", "policies": ["admin"]}]}, {}, ["VLT102"]),
        ({"roles": [{"name": "a", "policies": ["x"]}, {"name": "a", "policies": ["y"]}]}, {}, ["VLT103"]),
        ({}, {"audience": "vault"}, ["APO107"]),
        ({"caBundle": "no"}, {}, ["APO603"]),
    ],
)
def test_declarations(settings: dict[str, Any], spec: dict[str, Any], rules: list[str]) -> None:
    found = PARTY.findings(vault_trust(settings=settings, **spec).view, [vault_binding().view(PARTY)], ISSUER)
    assert [finding.rule.id for finding in found] == rules


@pytest.mark.parametrize(
    ("name", "good"),
    [("payments-reader", True), ("a", True), ("a.b_c-1", True), ("a" * 128, True), ("A", False), ("", False),
     ("*", False), ("a/b", False), ("a" * 129, False), ("a b", False), ("-a", False), ("a\n", False), ("rôle", False)],
)  # fmt: skip
def test_targets(name: str, good: bool) -> None:
    assert [f.rule.id for f in PARTY.check_target_id(vault_trust().view, name, "p")] == ([] if good else ["VLT101"])


def good_role(**changes: Any) -> dict[str, Any]:
    return {**access(vault_binding()).roles["payments-reader"], **changes}


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({}, []),
        ({"bound_subject": ""}, ["VLT201"]),
        ({"bound_subject": "", "bound_claims": {"/kubernetes.io/namespace": "payments"}}, ["VLT201"]),
        ({"bound_subject": "", "bound_claims": {"/kubernetes.io/namespace": "payments",
                                                "/kubernetes.io/serviceaccount/name": "reader"}}, []),
        ({"bound_subject": "", "bound_claims": {"sub": READER}}, []),
        ({"bound_subject": "", "bound_claims": {"sub": ["x", "system:*"]}, "bound_claims_type": "glob"}, ["VLT202"]),
        ({"bound_subject": "", "bound_claims": {"sub": READER}, "bound_claims_type": "glob"}, []),
        ({"bound_subject": "", "bound_claims": {"sub": "system:*"}}, []),
        ({"bound_claims": {"x": "*"}, "bound_claims_type": "glob"}, []),
        ({"bound_audiences": []}, ["VLT203"]),
        ({"role_type": "oidc"}, ["VLT206"]),
        ({"role_type": ""}, ["VLT206"]),
        ({"user_claim": "aud"}, ["VLT208"]),
        ({"user_claim": "/kubernetes.io/namespace"}, ["VLT208"]),
        ({"token_policies": "payments-ro, ROOT"}, ["VLT102"]),
        ({"token_max_ttl": 0}, ["VLT209"]),
        ({"token_max_ttl": "0s"}, ["VLT209"]),
        ({"token_max_ttl": "1h"}, []),
        ({"token_period": "10m"}, ["VLT209"]),
        ({"clock_skew_leeway": 60}, []),
        ({"clock_skew_leeway": 61}, ["VLT210"]),
        ({"clock_skew_leeway": -1}, []),
        ({"expiration_leeway": 1}, ["VLT210"]),
    ],
)  # fmt: skip
def test_documents_of_roles(changes: dict[str, Any], rules: list[str]) -> None:
    config = access().config
    found = list(judged(documents.VaultAccess(config, {"r": good_role(**changes)})))
    assert [finding.rule.id for finding in found] == rules
    assert all(finding.path.startswith("role-r.json:") for finding in found)


@pytest.mark.parametrize(
    ("changes", "rules"),
    [({}, []), ({"bound_issuer": ""}, ["VLT204"]), ({"jwt_supported_algs": []}, ["VLT205"]),
     ({"default_role": "reader"}, ["VLT207"])],
)  # fmt: skip
def test_documents_of_the_method(changes: dict[str, Any], rules: list[str]) -> None:
    found = judged(documents.VaultAccess({**access().config, **changes}, {}))
    assert [finding.rule.id for finding in found] == rules


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0), (60, 60), ("60", 60), ("1m", 60), ("2h", 7200), ("1d", 86400), ("", 0), (None, 0), ("1h30m", 1), ("x", 1)],
)
def test_durations_that_cannot_be_read_count_as_set(value: Any, expected: int) -> None:
    assert seconds(value) == expected


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [("*", "a:b/c", True), ("", "", True), ("", "a", False), ("a*", "ab", True), ("*b", "ab", True),
     ("a?", "ab", False), ("a.c", "abc", False), ("s:*:r", "s:x:y:r", True), ("[ab]", "a", False)],
)  # fmt: skip
def test_globs_have_one_special_character(pattern: str, value: str, expected: bool) -> None:
    assert glob(pattern, value) is expected


def test_documents_are_bodies_of_the_api() -> None:
    made = documents.render(access(vault_binding()))
    assert json.loads(made["config.json"]) == {
        "oidc_discovery_url": ISSUER.url,
        "bound_issuer": ISSUER.url,
        "jwt_supported_algs": ["RS256"],
        "default_role": "",
    }
