"""Section 19 of the reference on relying parties, line by line: which rule holds it, or why there is none."""

from __future__ import annotations

import pytest

from apostille.lint.rules import RULES
from apostille.model.finding import EnforcedIn, Severity
from apostille.parties.registry import catalogue

EVERY = (*catalogue(), *RULES)
WHERE: dict[EnforcedIn, None] = dict.fromkeys(("webhook", "policy", "status", "lint"))

# The severities that the reference gives: D deny, W warn, B broken; several where it depends on the value.
SECTION_19 = """
X-AUD-EMPTY D; X-AUD-APISERVER D; X-AUD-WILDCARD D; X-AUD-SHARED WD; X-AUD-MULTI W; X-AUD-FOREIGN D;
X-SUB-WILDCARD D; X-SUB-DEFAULT D; X-SUB-SYSTEM-NS D; X-SUB-MISSING W; X-LIFE WD; X-ISSUER-MISMATCH B;
X-ISSUER-HTTP B; X-ISSUER-PRIVATE B; X-ISSUER-SHARED D; X-JWKS-STALE W; X-JWKS-PRIVATE D; X-ALG D;
X-URL-ALLOWLIST D; X-CONFUSED-TARGET D;
AWS-NO-AUD D; AWS-NO-SUB D; AWS-AUD-WILDCARD D; AWS-SUB-CLUSTER-WIDE D; AWS-SUB-NAMESPACE-WIDE D; AWS-SUB-WILDCARD W;
AWS-SUB-INVALID B; AWS-VACUOUS-OP D; AWS-KEY-PREFIX B; AWS-PRINCIPAL-STAR D; AWS-MIXED-ISSUER D; AWS-ACTION-STAR D;
AWS-NOT-ELEMENT D; AWS-AUD-NOT-REGISTERED B; AWS-CLIENTID-UNUSED W; AWS-THUMBPRINT BW; AWS-ISSUER-MISMATCH B;
AWS-POLICY-SIZE B; AWS-SESSION-LONG W; AWS-ROLE-ADMIN W;
GCP-COND-EMPTY W; GCP-COND-TRUE D; GCP-COND-PREFIX W; GCP-COND-OR D; GCP-AUD-GENERIC W; GCP-SET-POOL D;
GCP-SET-SA-NAME D; GCP-SET-NS W; GCP-SUBJECT-CONST D; GCP-SUBJECT-COLLISION D; GCP-SUBJECT-LONG B;
GCP-MEMBER-PROJECT-ID B; GCP-IMPERSONATE-BASIC D; GCP-JWKS-FIELD B; GCP-CRED-URL D;
AZ-AUD-COUNT B; AZ-AUD-SHARED W; AZ-SUB-WILDCARD B; AZ-FLEX B; AZ-FLEX-BROAD D; AZ-FIC-LIMIT B; AZ-FIC-DUP B;
AZ-ISSUER-SLASH B; AZ-NAME B; AZ-DANGLING W; AZ-ALG B;
VLT-NO-SUB D; VLT-GLOB D; VLT-NO-AUD B; VLT-NO-ISSUER D; VLT-ALGS W; VLT-ROLE-TYPE B; VLT-DEFAULT-ROLE W;
VLT-USER-CLAIM D; VLT-POLICY D; VLT-TTL W; VLT-LEEWAY W;
DBX-ACCOUNT-POLICY D; DBX-AUD-DEFAULT W; DBX-SUBJECT-CLAIM D; SNOW-AUD-DEFAULT D; SNOW-NO-POLICY W; HCP-REGEX D;
HCP-VACUOUS D; HCP-NO-COND D; KC-LIFE B; KC-AUD B; KC-ROLE W; MINIO-AUD-ONLY W; A0-ACTION W; STS-AUD-CHOICE D;
STS-SINGLE-USE B; GH-OWNER D; GH-PR D; GH-AUD-ONLY D; GH-NAME W; GL-GROUP D; ADO-ORG W; SPIFFE-TD D
"""
LINES = dict(line.split() for line in SECTION_19.replace("\n", " ").strip().rstrip(";").split("; "))

# Held by a rule of another name, which says more than the line does.
BY_ANOTHER = {
    "GCP-COND-OR": "GCP208",  # the condition is evaluated, whatever its form
    "AZ-AUD-SHARED": "APO107",  # Entra's default audience, in whichever trust
    "AZ-FLEX-BROAD": "AZU210",  # for a cluster's issuer no expression works at all
    "AZ-ISSUER-SLASH": "APO701",  # of every party's documents, byte for byte
    "GH-OWNER": "AWS304", "GL-GROUP": "AWS304",  # in trust policies, where such subjects stand in documents of ours
    "GH-AUD-ONLY": "AWS302",
}  # fmt: skip
# What has no place to be said.
NOT_SAID = {
    "GCP-SUBJECT-COLLISION": "documents hold one provider; what is rendered begins with the provider's id",
    "AZ-DANGLING": "documents know no cluster: APO204 tells of accounts, LNT401 of credentials left over",
    "A0-ACTION": "there is no party Auth0",
    "GH-PR": "there are no inbound trusts", "GH-NAME": "there are no inbound trusts",
    "ADO-ORG": "there are no inbound trusts", "SPIFFE-TD": "there are no inbound trusts",
}  # fmt: skip
# Sterner or milder than the line, and why.
OTHERWISE = {
    "X-AUD-MULTI": "a token that several receivers accept is refused: the API server can grant each its own",
    "X-ISSUER-SHARED": "no cluster can see whether another has its name; an installation that knows denies it",
}
_LETTER = {Severity.DENY: "D", Severity.WARN: "W", Severity.BROKEN: "B"}


@pytest.mark.parametrize("slug", LINES)
def test_a_line_of_the_reference_is_a_rule(slug: str) -> None:
    found = [rule for rule in EVERY if rule.slug == slug or rule.id == BY_ANOTHER.get(slug)]
    assert bool(found) is not (slug in NOT_SAID), "a rule, or the reason why there is none"
    if found and slug not in {**BY_ANOTHER, **OTHERWISE}:
        assert {_LETTER[rule.severity] for rule in found} <= set(LINES[slug])


def test_what_is_said_of_lines_is_said_of_lines() -> None:
    assert {*BY_ANOTHER, *NOT_SAID, *OTHERWISE} <= set(LINES)
    assert not {*BY_ANOTHER, *NOT_SAID} & {rule.slug for rule in EVERY}


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.id)
def test_a_rule_says_where_it_is_enforced(rule: object) -> None:
    (found,) = [one for one in EVERY if one is rule]
    assert found.enforced_in
    assert list(found.enforced_in) == [where for where in WHERE if where in found.enforced_in], "in this order"
