"""OAuth token services as a party: documents by profile, rules, what containers and sidecar are given."""

from __future__ import annotations

import json
from typing import Any

import cel
import pytest

from apostille.core.judge import judge_binding
from apostille.core.pod_plan import pod_plan
from apostille.parties import shell, terraform
from apostille.parties.oauth import documents
from apostille.parties.oauth.documents import OAuthAccess
from apostille.parties.oauth.evaluate import matches
from apostille.parties.oauth.party import OAuth
from apostille.parties.oauth.rules import documents as judged
from builders import CONTEXT, ISSUER, JWK
from oauth_declarations import PROFILES, STS, oauth_binding, oauth_trust
from self_hosted import READER, STRANGERS

PARTY = OAuth()
WRITER = "system:serviceaccount:orders:writer"


def access(profile: str, *bindings: Any, settings: dict[str, Any] | None = None, **spec: Any) -> OAuthAccess:
    view = oauth_trust(profile, settings=settings, **spec).view
    return PARTY.access(view, [one.view(PARTY) for one in bindings or (oauth_binding(),)], ISSUER)


def writer(target: str = "api") -> Any:
    return oauth_binding("w", "orders", target, subject={"serviceAccountNames": ["writer"]})


@pytest.mark.parametrize("profile", PROFILES)
def test_declarations_of_every_profile_are_right(profile: str) -> None:
    found = PARTY.findings(oauth_trust(profile).view, [oauth_binding().view(PARTY)], ISSUER)
    common = ["APO107"] if profile in ("Anthropic", "OpenAI", "Kernel") else []
    assert [finding.rule.id for finding in found] == common


@pytest.mark.parametrize("profile", PROFILES)
def test_rendering_reads_back_and_says_the_same_in_any_order(profile: str) -> None:
    one = access(profile, oauth_binding(), writer("reports"))
    other = access(profile, writer("reports"), oauth_binding())
    assert one.canonical() == other.canonical()
    files = documents.render(one)
    assert documents.render(documents.parse(files)) == files
    assert "service.json" in files


def test_hydra_is_told_a_client_without_a_secret_and_each_subject_with_its_scopes() -> None:
    made = access("Hydra", oauth_binding(), writer("reports"), oauth_binding("more", identity="reports"))
    assert made.files["client-api.json"] == {
        "client_id": "api",
        "grant_types": ["urn:ietf:params:oauth:grant-type:jwt-bearer"],
        "response_types": [],
        "token_endpoint_auth_method": "none",
        "scope": "read write",
        "jwt_bearer_grant_access_token_lifespan": "3600s",
    }
    trusts = {one["subject"]: one for one in made.named("trust-").values()}
    assert {subject: one["scope"] for subject, one in trusts.items()} == {
        READER: ["read", "reports", "write"],
        WRITER: ["reports"],
    }
    assert trusts[READER]["jwk"] == JWK
    assert (trusts[READER]["issuer"], trusts[READER]["allow_any_subject"]) == (ISSUER.url, False)


def test_anthropics_rule_names_subjects_and_instances_in_a_condition() -> None:
    view = oauth_trust("Anthropic", settings={"pinInstances": True}).view
    made = PARTY.access(view, [oauth_binding().view(PARTY, {"reader": "uid-1"}), writer().view(PARTY)], ISSUER)
    assert made.files["provider.json"]["check_jti"] is False
    rule = made.files["rule-api.json"]
    assert rule["match"] == {
        "audience": "https://api.anthropic.com",
        "condition": f'claims.sub in ["{WRITER}", "{READER}"] && '
        'claims["kubernetes.io"].serviceaccount.uid in ["uid-1"]',
    }
    assert (rule["target"]["service_account_id"], rule["workspace_id"]) == ("svac_1", "wrkspc_1")


@pytest.mark.parametrize("uid", ["uid-1", "uid-2", None])
@pytest.mark.parametrize("subject", [READER, WRITER, *STRANGERS])
def test_the_condition_means_in_cel_what_we_take_it_for(subject: str, uid: str | None) -> None:
    written = documents.condition([READER], ["uid-1"])
    claims: dict[str, Any] = {"sub": subject, "kubernetes.io": {"serviceaccount": {"uid": uid or ""}}}
    assert bool(cel.evaluate(written, {"claims": claims})) is matches({"match": {"condition": written}}, claims)


@pytest.mark.parametrize(
    ("match", "admitted"),
    [
        ({"subject_prefix": READER}, True),
        ({"subject_prefix": "system:serviceaccount:payments:*"}, True),
        ({"subject_prefix": READER + "2"}, False),
        ({"audience": "a"}, False),
        ({"claims": {"sub": READER}}, True),
        ({"claims": {"sub": WRITER}}, False),
        ({"condition": "claims.sub.startsWith('system:')"}, None),
        ({"condition": "true"}, None),
    ],
)
def test_rules_of_others_are_judged_or_not_evaluated_but_never_passed(
    match: dict[str, Any], admitted: bool | None
) -> None:
    assert matches({"match": match}, {"sub": READER}) is admitted


def test_openai_has_a_rule_for_each_subject() -> None:
    made = access("OpenAI", oauth_binding(), writer())
    rules = list(made.named("rule-api-").values())
    assert sorted(rule["attribute_matchers"]["subject"] for rule in rules) == [WRITER, READER]
    assert {rule["service_account_id"] for rule in rules} == {"sa_1"}
    assert made.files["provider.json"]["audience"] == "https://api.openai.com/v1"


def test_kernel_has_a_rule_for_one_subject_and_the_younger_binding_is_named() -> None:
    view = oauth_trust("Kernel").view
    views = [oauth_binding().view(PARTY), writer().view(PARTY)]
    (limit,) = PARTY.limits(view, views, ISSUER)
    assert (limit.used, limit.most, limit.over) == (2, 1, "payments/api")
    made = PARTY.access(view, views, ISSUER)
    assert made.files["rule-api.json"]["match"] == {"namespace": "orders", "service_account": "writer"}


@pytest.mark.parametrize(
    ("profile", "grant", "endpoint", "parameters", "settings"),
    [
        ("TokenExchange", "TokenExchange", STS, {"audience": "https://api.example"}, {}),
        ("JWTBearer", "JWTBearer", STS, {"clientID": "api", "scope": "read"}, {}),
        ("ClientAssertion", "ClientAssertion", STS, {"scope": "read"}, {}),
        ("Hydra", "JWTBearer", STS, {"clientID": "api", "scope": "read write"}, {"singleUse": "true"}),
        ("Anthropic", "Anthropic", "https://api.anthropic.com/v1/oauth/token",
         {"ruleID": "fdrl_1", "serviceAccountID": "svac_1", "workspaceID": "wrkspc_1"}, {"organizationID": "org-1"}),
        ("OpenAI", "OpenAI", "https://auth.openai.com/oauth/token", {"serviceAccountID": "sa_1"},
         {"identityProviderID": "idp_1"}),
        ("Kernel", "Kernel", "https://auth.onkernel.com/token", {"ruleID": "rule_1"}, {}),
    ],
)  # fmt: skip
def test_the_recipe_of_the_sidecar(
    profile: str, grant: str, endpoint: str, parameters: dict[str, str], settings: dict[str, str]
) -> None:
    made = pod_plan(oauth_trust(profile), oauth_binding(delivery={"mode": "Sidecar"}))
    admission, recipe = made.frozen.admission, made.live.recipe
    assert admission is not None
    assert recipe is not None
    assert (admission.grant, admission.endpoint, admission.settings) == (grant, endpoint, settings)
    assert recipe.parameters == parameters
    assert made.frozen.environment == {"OAUTH_TOKEN_FILE": "/var/run/apostille.dev/api/token"}
    from apostille_exchange.grants import load

    load(grant).check(recipe.parameters, "recipe")


def test_auto_is_what_the_profile_can() -> None:
    anthropic = pod_plan(oauth_trust("Anthropic"), oauth_binding()).frozen
    assert (anthropic.delivery, anthropic.admission) == ("SDK", None)
    assert anthropic.environment == {
        "ANTHROPIC_FEDERATION_RULE_ID": "fdrl_1",
        "ANTHROPIC_ORGANIZATION_ID": "org-1",
        "ANTHROPIC_SERVICE_ACCOUNT_ID": "svac_1",
        "ANTHROPIC_WORKSPACE_ID": "wrkspc_1",
        "ANTHROPIC_IDENTITY_TOKEN_FILE": "/var/run/secrets/apostille.dev/api/token",
    }
    only = pod_plan(oauth_trust("TokenOnly"), oauth_binding()).frozen
    assert only.environment == {
        "OAUTH_ASSERTION_FILE": "/var/run/secrets/apostille.dev/api/token",
        "OAUTH_AUDIENCE": "https://api.example",
    }
    assert pod_plan(oauth_trust("OpenAI"), oauth_binding()).frozen.delivery == "Sidecar"
    once = oauth_trust("Anthropic", settings={"singleUse": True})
    assert pod_plan(once, oauth_binding()).frozen.delivery == "Sidecar", "an SDK presents an assertion again"


@pytest.mark.parametrize(
    ("profile", "mode", "can"),
    [("OpenAI", "SDK", "Auto, Sidecar"), ("TokenOnly", "Sidecar", "Auto, SDK"), ("Anthropic", "Sidecar", "")],
)
def test_a_mode_that_the_profile_has_not_is_refused(profile: str, mode: str, can: str) -> None:
    found = judge_binding(oauth_binding(delivery={"mode": mode}), oauth_trust(profile), CONTEXT)
    assert [one.path for one in found] == (["spec.delivery.mode"] if can else [])
    assert all(can in str(one) for one in found)


@pytest.mark.parametrize("profile", PROFILES)
def test_commands_and_resources(profile: str) -> None:
    made = access(profile)
    script = PARTY.render(made, "cli")[shell.FILE]
    for document in (*made.named("client-").values(), *made.named("trust-").values()):
        assert json.dumps(document, separators=(",", ":")) in script
    assert ("HYDRA_ADMIN_URL" in script) is (profile == "Hydra")
    assert json.loads(PARTY.render(made, "terraform")[terraform.FILE])["resource"] == {}


def test_the_address_is_the_endpoints_server() -> None:
    view = oauth_trust("Hydra", settings={"tokenEndpoint": "https://hydra.example:4444/oauth2/token"}).view
    assert PARTY.addresses(view.settings) == {"tokenEndpoint": "https://hydra.example:4444"}
    assert PARTY.addresses(oauth_trust("OpenAI").view.settings) == {}


def test_documents_of_others() -> None:
    anything = {"subject": "", "allow_any_subject": True}
    made = OAuthAccess({"service.json": {"profile": "Hydra"}, "trust-a.json": anything})
    assert [(one.rule.id, one.path) for one in judged(made)] == [("OAU201", "trust-a.json:subject")]


@pytest.mark.parametrize(
    ("profile", "rule", "broad"),
    [
        ("Anthropic", {"match": {"audience": "a"}}, True),
        ("Anthropic", {"match": {"audience": "a", "subject_prefix": "system:serviceaccount:*"}}, True),
        ("Anthropic", {"match": {"audience": "a", "subject_prefix": READER}}, False),
        ("OpenAI", {"attribute_matchers": {"namespace": "payments"}}, True),
        ("OpenAI", {"attribute_matchers": {"subject": READER}}, False),
        ("Kernel", {"match": {"namespace": "payments"}}, True),
        ("Kernel", {"match": {"namespace": "payments", "service_account": "reader"}}, False),
        ("Kernel", {"match": {"subject": READER}}, False),
    ],
)
def test_rules_of_others_that_are_broad(profile: str, rule: dict[str, Any], broad: bool) -> None:
    made = OAuthAccess({"service.json": {"profile": profile}, "rule-a.json": rule})
    assert [one.rule.id for one in judged(made)] == (["OAU201"] if broad else [])
