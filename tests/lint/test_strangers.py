"""Documents of every party are asked about strangers: ours refuse them, widened ones are told with who gets in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from apostille.core.judge import Context
from apostille.lint import strangers
from apostille.lint.judge import Options
from apostille.model.finding import Severity
from apostille.model.identity import Issuer
from apostille.parties.registry import PARTIES
from builders import ISSUER
from lint.test_lint import OPTIONS, TODAY, found, report
from samples.sample import Sample, every

SAMPLES = every()
ASKED = ("LNT501", "LNT502")
EXACT, WILD = "system:serviceaccount:payments:reader", "system:serviceaccount:*"
Files = Mapping[str, str]


def rendered(sample: Sample) -> dict[str, str]:
    """What the party holds for one bound service account."""
    bound = sample.bind("b0", target=sample.targets[0], subject={"serviceAccountNames": ["reader"]})
    view = bound.view(sample.party)
    if sample.party.pins_instances(sample.trust.view.settings):
        view = replace(view, uids={"reader": "4f9b7c1e-0000-4000-8000-000000000001"})
    jwks = json.dumps({"keys": [{"kty": "RSA", "kid": "key-1", "n": "n", "e": "AQAB"}]})
    access = sample.party.access(sample.trust.view, [view], replace(ISSUER, jwks=jwks))
    return {f"kept/{name}": text for name, text in sample.party.render(access, "native").items()}


def asked(files: Files, options: Options = OPTIONS) -> list[tuple[str, str, str]]:
    """(rule, file, message) of what was said of strangers."""
    return [
        (one.finding.rule.id, one.file, one.finding.message)
        for one in report(files, options).active
        if one.finding.rule.id in ASKED
    ]


def test_every_party_has_documents_here() -> None:
    assert {sample.party.name for sample in SAMPLES.values()} == {party.name for party in PARTIES}


@pytest.mark.parametrize("name", SAMPLES)
def test_of_ours_it_can_be_said_that_nobody_else_gets_in(name: str) -> None:
    sample = SAMPLES[name]
    files = rendered(sample)
    assert asked(files) == []
    access: Any = sample.party.parse({path.removeprefix("kept/"): text for path, text in files.items()})
    ways = list(sample.party.acceptances(access))
    assert ways, "there is something to ask"
    for way in ways:
        assert f"kept/{way.file}" in files
        claims = strangers.claims(way.issuer or ISSUER.url, EXACT, way.audience)
        claims["kubernetes.io"]["serviceaccount"]["uid"] = "4f9b7c1e-0000-4000-8000-000000000001"
        # Whoever is bound gets in, so that the silence is not that of a door that nobody can open.
        claims |= {"sub": EXACT}
        assert sample.party.evaluate(access, claims, way.target).allowed, way


def edited(path: str, change: Callable[[Any], object]) -> Callable[[Files], dict[str, str]]:
    """With the JSON document whose name begins so changed in place."""

    def edit(files: Files) -> dict[str, str]:
        (name,) = [one for one in files if one.startswith(f"kept/{path}")]
        document = json.loads(files[name])
        change(document)
        return {**files, name: json.dumps(document)}

    return edit


def replaced(old: str, new: str) -> Callable[[Files], dict[str, str]]:
    def edit(files: Files) -> dict[str, str]:
        made = {name: text.replace(old, new) for name, text in files.items()}
        assert made != files, old
        return made

    return edit


def both(*edits: Callable[[Files], dict[str, str]]) -> Callable[[Files], dict[str, str]]:
    def edit(files: Files) -> dict[str, str]:
        for one in edits:
            files = one(files)
        return dict(files)

    return edit


POOL = "principalSet://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/k8s-prod/*"
WIDENED: dict[str, tuple[str, Callable[[Files], dict[str, str]], str]] = {
    "Alibaba: any subject": ("Alibaba", both(replaced("StringEquals", "StringLike"), replaced(EXACT, WILD)), "q9"),
    "AWS: any subject": ("AWS", both(replaced("StringEquals", "StringLike"), replaced(EXACT, WILD)), "q9"),
    "AWS: any namespace": (
        "AWS", both(replaced("StringEquals", "StringLike"), replaced(EXACT, WILD + ":reader")), ":reader",
    ),
    "AWS: namespaces that begin so": (
        "AWS", both(replaced("StringEquals", "StringLike"), replaced(":payments:", ":payments*:")), "payments7f3a",
    ),
    "Alibaba: any namespace": (
        "Alibaba", both(replaced("StringEquals", "StringLike"), replaced(EXACT, WILD + ":reader")), ":reader",
    ),
    "Databricks: the account's policy": (
        "Databricks", edited("policy-", lambda it: it["oidc_policy"].pop("subject")), "q9",
    ),
    "GCP: the whole pool": (
        "GCP",
        both(
            edited("provider", lambda it: it.update(attributeCondition="")),
            edited("service-account-", lambda it: it["bindings"][0].update(members=[POOL])),
        ), "q9",
    ),
    "GCP: what is compared is a prefix": (
        "GCP",
        both(
            edited("provider", lambda it: it.update(attributeCondition=f"assertion.sub.startsWith('{EXACT[:-7]}')")),
            edited("service-account-", lambda it: it["bindings"][0].update(members=[POOL])),
        ), "payments-7f3a",
    ),
    "HCP: a pattern": (
        "HCP",
        edited("provider-", lambda it: it["provider"].update(conditional_access="jwt_claims.sub matches `^system:`")),
        "q9",
    ),
    "MinIO: no condition": (
        "MinIO with roles",
        edited("policies", lambda it: [one["Statement"][0].pop("Condition") for one in it.values()]), "q9",
    ),
    "Hydra: any subject": ("OAuth Hydra", edited("trust-", lambda it: it.update(allow_any_subject=True)), "q9"),
    "Anthropic: a prefix": (
        "OAuth Anthropic",
        edited("rule-", lambda it: it["match"].update(subject_prefix="system:serviceaccount:*", condition="")), "q9",
    ),
    "Kernel: no namespace": ("OAuth Kernel", edited("rule-", lambda it: it["match"].pop("namespace")), "x7f3a:reader"),
    "Vault: a pattern": (
        "Vault",
        edited(
            "role-",
            lambda it: it.update(bound_subject="", bound_claims={"sub": WILD + ":reader"}, bound_claims_type="glob"),
        ), "reader",
    ),
    "Vault: another cluster": (
        "Vault", edited("config", lambda it: it.update(bound_issuer="")), "of another cluster (https://x7f3a.issuer.example)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WIDENED)
def test_of_a_widened_one_it_is_said_who_gets_in(case: str) -> None:
    name, widen, who = WIDENED[case]
    told = asked(widen(rendered(SAMPLES[name])))
    assert told
    for rule, file, message in told:
        assert (rule, file.startswith("kept/")) == ("LNT501", True)
        assert who in message


def test_what_compares_exactly_has_no_way_to_be_widened() -> None:
    """The parties of which no case is above: they know neither patterns nor an absent subject."""
    assert {SAMPLES[name].party.name for name, *_ in WIDENED.values()} | {"Azure", "Keycloak", "Snowflake"} == {
        party.name for party in PARTIES
    }


def test_of_strangers_in_a_namespace_that_is_named_the_partys_own_rules_speak() -> None:
    """As of what somebody may have meant: they warn."""
    files = replaced(":reader", ":read*")(replaced("StringEquals", "StringLike")(rendered(SAMPLES["AWS"])))
    assert [(one.finding.rule.id, one.severity) for one in report(files).active] == [("AWS306", Severity.WARN)]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (
            "AWS",
            edited("role-", lambda it: it.update(AssumeRolePolicyDocument=it["AssumeRolePolicyDocument"].replace(
                '"StringEquals":{', '"IpAddress":{"aws:SourceIp":"192.0.2.0/24"},"StringEquals":{', 1))),
        ),
        ("OAuth Anthropic", edited("rule-", lambda it: it["match"].update(condition="claims.sub.matches('x')"))),
    ],
    ids=["an address decides", "a condition of another form"],
)  # fmt: skip
def test_what_is_not_judged_is_not_called_safe(name: str, change: Callable[[Files], dict[str, str]]) -> None:
    ((rule, _, message),) = asked(change(rendered(SAMPLES[name])))
    assert rule == "LNT502"
    assert message


def test_one_document_in_which_something_is_accepted_is_enough() -> None:
    for name in ("Azure", "Databricks", "HCP", "Snowflake"):
        files = rendered(SAMPLES[name])
        (path,) = [one for one in files if "authentication-policy" not in one]
        text = files[path]
        assert report({path: text}).active == []
    told = found(edited("policy-", lambda it: it["oidc_policy"].pop("subject"))(rendered(SAMPLES["Databricks"])))
    assert {rule for rule, *_ in told} == {"DBX203", "LNT501"}


@pytest.mark.parametrize("name", SAMPLES)
def test_an_issuer_that_is_spelled_otherwise_is_told(name: str) -> None:
    files = rendered(SAMPLES[name])
    ours = Options(Context(Issuer(ISSUER.url), "apostille-system"), TODAY)
    other = Options(Context(Issuer(ISSUER.url + "/"), "apostille-system"), TODAY)
    assert [one for one in found(files, ours) if one[0] == "APO701"] == []
    told = {rule for rule, *_ in found(files, other)}
    # MinIO compares no issuer: it has the URL of the discovery document alone.
    assert ("APO701" in told) is not name.startswith("MinIO")


@pytest.mark.parametrize("name", SAMPLES)
def test_an_audience_by_which_another_party_is_known_is_told(name: str) -> None:
    """In every party's documents, whoever wrote them; of its own audience nothing is said."""
    sample = SAMPLES[name]
    files = rendered(sample)
    assert [one for one in found(files) if one[0] == "LNT503"] == []
    audience, vendor = ("sts.amazonaws.com", "Amazon Web Services")
    if sample.party.name == "AWS":
        audience, vendor = ("sts.aliyuncs.com", "Alibaba Cloud")
    told = report(replaced(sample.trust.view.audience, audience)(files)).active
    assert {one.finding.message for one in told if one.finding.rule.id == "LNT503"} == {
        f"it accepts {audience!r}, by which {vendor} is known"
    }
