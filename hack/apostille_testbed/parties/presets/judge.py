"""How each service judges: by its own documents, in its own order, with nothing but its own words.

Sources. Anthropic: the SDK's models of ``federation_issuers`` and ``federation_rules`` and its token exchange (PyPI
``anthropic`` 2.12), and the pages on workload identity federation: asymmetric signatures only; ``kid``, ``iat``,
``exp`` and ``sub`` required; 30 seconds of skew; a JWT of at most 16 KiB; the audience any element of ``aud``; an
audience-only rule refused; ``max_jwt_lifetime_seconds`` compared with ``exp - iat``; ``check_jti`` takes each token
once; every refusal is ``invalid_grant`` and says no more. OpenAI: the SDK's ``workload_identity`` (PyPI ``openai``
3.54): JSON with exactly these members; matchers are equal or not. Kernel: its documentation: a form with these
parameters and no other, no ``Authorization``, a JWT of at most 16 KiB, exactly one audience.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cel

from apostille_testbed.parties.jws import Token

SKEW = 30  # seconds
LONGEST_TOKEN = 16 * 1024

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"

Documents = Mapping[str, Mapping[str, Any]]


class Refused(Exception):
    """An OAuth error: ``code``, and why, which only the record shows."""

    def __init__(self, code: str, why: str, status: int = 400) -> None:
        super().__init__(why)
        self.code, self.status = code, status


class Vendor:
    """One service. ``as_json``: how it is asked; ``required`` and ``optional`` are all that may be sent."""

    def __init__(
        self,
        grant_type: str,
        assertion: str,
        required: frozenset[str],
        optional: frozenset[str],
        judge: Callable[[Documents, Mapping[str, str], Token, int], int],
        *,
        as_json: bool,
        path: str,
        beta: str = "",
    ) -> None:
        self.grant_type, self.assertion, self.as_json, self.path, self.beta = grant_type, assertion, as_json, path, beta
        self.required, self.optional, self.judge = required, optional, judge

    def check(self, asked: Mapping[str, str]) -> None:
        """Raises Refused for a request that is not this service's."""
        if missing := self.required - set(asked):
            raise Refused("invalid_request", f"{min(missing)} is missing")
        if unknown := set(asked) - self.required - self.optional:
            raise Refused("invalid_request", f"{min(unknown)} is not known")
        if asked["grant_type"] != self.grant_type:
            raise Refused("unsupported_grant_type", asked["grant_type"])
        if len(asked[self.assertion]) > LONGEST_TOKEN:
            raise Refused("invalid_request", "the token is too long")


def _anthropic(documents: Documents, asked: Mapping[str, str], token: Token, now: int) -> int:
    issuer, claims = documents["provider.json"], token.claims
    _same(token.issuer, issuer["issuer_url"], "the issuer is not known")
    rule = _rule(documents, asked["federation_rule_id"])
    for name in ("iat", "exp", "sub"):
        if name not in claims:
            raise Refused("invalid_grant", f"{name} is missing")
    if claims["exp"] - claims["iat"] > issuer["max_jwt_lifetime_seconds"]:
        raise Refused("invalid_grant", "the token lives too long")
    match = rule["match"]
    if not set(match) & {"subject_prefix", "claims", "condition"}:
        raise Refused("invalid_grant", "the rule matches an audience only")
    if match.get("audience") and match["audience"] not in token.audiences:
        raise Refused("invalid_grant", "the audience is another")
    prefix = match.get("subject_prefix", "")
    exact = token.subject.startswith(prefix[:-1]) if prefix.endswith("*") else token.subject == prefix
    if prefix and not exact:
        raise Refused("invalid_grant", "the subject does not match")
    if match.get("condition") and cel.evaluate(match["condition"], {"claims": dict(claims)}) is not True:
        raise Refused("invalid_grant", "the condition does not hold")
    _same(asked.get("service_account_id", rule["target"]["service_account_id"]),
          rule["target"]["service_account_id"], "the rule is for another account")  # fmt: skip
    if rule.get("workspace_id"):
        _same(asked.get("workspace_id", rule["workspace_id"]), rule["workspace_id"], "the workspace is another")
    # Never more than twice what the assertion has left.
    return int(min(rule["token_lifetime_seconds"], 2 * (claims["exp"] - now)))


def _openai(documents: Documents, asked: Mapping[str, str], token: Token, now: int) -> int:
    provider = documents["provider.json"]
    if not provider["enabled"]:
        raise Refused("invalid_grant", "the provider is switched off", 403)
    _same(asked["subject_token_type"], JWT, "the token's type is not known")
    _same(token.issuer, provider["issuer"], "the issuer is not known")
    if provider["audience"] not in token.audiences:
        raise Refused("invalid_grant", "the audience is another")
    attributes = {
        one["attribute"]: cel.evaluate(one["expression"], {"claims": dict(token.claims)})
        for one in provider["attribute_transformations"]
    }
    for name, rule in documents.items():
        if not name.startswith("rule-") or rule["service_account_id"] != asked["service_account_id"]:
            continue
        matchers = rule["attribute_matchers"]
        if rule["enabled"] and matchers and all(attributes.get(key) == value for key, value in matchers.items()):
            return 3600
    raise Refused("invalid_grant", "no rule matches", 403)


def _kernel(documents: Documents, asked: Mapping[str, str], token: Token, now: int) -> int:
    _same(token.issuer, documents["provider.json"]["issuer"], "the issuer is not known")
    rule = _rule(documents, asked["federation_rule_id"])
    if token.audiences != (rule["expected_audience"],):
        raise Refused("invalid_grant", "the audience is another, or not alone")
    bound = token.claims.get("kubernetes.io") or {}
    found = {
        "namespace": bound.get("namespace"),
        "service_account": (bound.get("serviceaccount") or {}).get("name"),
        "subject": token.subject,
    }
    if not rule["match"] or any(found.get(name) != wanted for name, wanted in rule["match"].items()):
        raise Refused("invalid_grant", "the rule does not match")
    return int(rule["max_token_ttl_seconds"])


def _rule(documents: Documents, identity: str) -> Mapping[str, Any]:
    for name, rule in documents.items():
        if name.startswith("rule-") and rule.get("id") == identity:
            return rule
    raise Refused("invalid_grant", "there is no such rule")


def _same(found: object, wanted: object, why: str) -> None:
    if found != wanted:
        raise Refused("invalid_grant", why)


VENDORS = {
    "anthropic": Vendor(
        JWT_BEARER,
        "assertion",
        frozenset({"grant_type", "assertion", "federation_rule_id", "organization_id"}),
        frozenset({"service_account_id", "workspace_id"}),
        _anthropic,
        as_json=True,
        path="/v1/oauth/token",
        beta="oidc-federation-2026-04-01",
    ),
    "openai": Vendor(
        TOKEN_EXCHANGE,
        "subject_token",
        frozenset({"grant_type", "subject_token", "subject_token_type", "identity_provider_id", "service_account_id"}),
        frozenset(),
        _openai,
        as_json=True,
        path="/oauth/token",
    ),
    "kernel": Vendor(
        JWT_BEARER,
        "assertion",
        frozenset({"grant_type", "assertion", "federation_rule_id"}),
        frozenset({"resource"}),
        _kernel,
        as_json=False,
        path="/token",
    ),
}
