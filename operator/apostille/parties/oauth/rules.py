"""OAuth token services' own rules (cloud-trust §13.3, §19.6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from apostille.model.finding import Finding, Rule, Severity
from apostille.parties.oauth import evaluate
from apostille.parties.oauth.documents import PROVIDER, RULE, TRUST, Document, OAuthAccess
from apostille.parties.oauth.settings import OAuthTrust, is_target_name, value
from apostille.parties.party import BindingView, TrustView
from apostille.rules.catalogue import AUD_COMMON

TARGET_FORM = Rule(
    "OAU101", "OAU-TARGET-FORM", Severity.BROKEN, "The target is not one of the trust's",
    "Name one of spec.relyingParty.oauth.targets",
    "A trust describes what its targets are at the service; one that it does not describe is nothing that could be "
    "asked for.",
)  # fmt: skip
FIELD = Rule(
    "OAU102", "OAU-FIELD", Severity.BROKEN, "The profile does not have the field, or needs it",
    "Give exactly the fields of the profile",
    "Each profile is asked with its own parameters. One that is missing would be refused by the service; one that it "
    "does not have would be ignored, and narrow nothing.",
)  # fmt: skip
TARGET_TWICE = Rule(
    "OAU103", "OAU-TARGET-TWICE", Severity.BROKEN, "A target is described twice",
    "Keep one entry", "It would depend on the order of the list which of two entries holds.",
)  # fmt: skip
CHOICE = Rule(
    "OAU104", "STS-AUD-CHOICE", Severity.DENY, "Whoever asks chooses what the token is good for",
    "Give the target an audience, a resource or scopes",
    "A token service that is asked for nothing in particular gives what it gives by default, often everything that the "
    "subject may. The declaration says what is asked for.",
)  # fmt: skip
SINGLE_USE = Rule(
    "OAU105", "STS-SINGLE-USE", Severity.BROKEN, "The next assertion comes after the credential has ended",
    "Make ceilings.assertionSeconds at most ceilings.sessionSeconds, and bind a service account once",
    "The service takes each assertion once, and the kubelet brings the next at four fifths of an assertion's life: a "
    "credential that ends before is not replaced in time. Two bindings of one service account get the same assertion "
    "in a pod, and the second is refused.",
)  # fmt: skip
ONE_SUBJECT = Rule(
    "OAU106", "OAU-ONE-SUBJECT", Severity.BROKEN, "A rule of the service is for one service account",
    "Give each service account a target with a rule of its own",
    "A request names one rule, and a rule names one service account: a second one would be refused, or take its place.",
)  # fmt: skip
SAME_SCOPES = Rule(
    "OAU107", "OAU-SAME-SCOPES", Severity.DENY, "Who may be one target may be the other",
    "Give each target scopes that no other has all of",
    "Hydra trusts a subject for scopes, not for a client: with another target's scopes it gets that target's tokens.",
)  # fmt: skip
BROAD = Rule(
    "OAU201", "OAU-BROAD", Severity.DENY, "The service's rule lets in more than one could name",
    "Match exact subjects, or both namespace and service account",
    "An audience says for whom a token is, not whose it is; a prefix lets in whoever can make a service account whose "
    "name begins so.",
    ("status", "lint"),
)  # fmt: skip
LIFE = Rule(
    "OAU202", "OAU-LIFE", Severity.BROKEN, "The service refuses assertions that live so long",
    "Raise the provider's max_jwt_lifetime_seconds, or lower ceilings.assertionSeconds",
    "The service compares an assertion's life with its own bound and refuses what is longer.",
    ("status", "lint"),
)  # fmt: skip
RULES: tuple[Rule, ...] = (
    TARGET_FORM, FIELD, TARGET_TWICE, CHOICE, SINGLE_USE, ONE_SUBJECT, SAME_SCOPES, BROAD, LIFE,
)  # fmt: skip

_TRUST_FIELDS = (
    "tokenEndpoint", "caBundle", "singleUse", "pinInstances", "organizationID", "identityProviderID",
)  # fmt: skip
_TARGET_FIELDS = (
    "clientID", "scopes", "audience", "resource", "ruleID", "serviceAccountID", "workspaceID", "projectID",
)  # fmt: skip
_LONGEST_LIFE = 176_400  # seconds: the most that Anthropic can be told


def trust(view: TrustView, where: str) -> Iterator[Finding]:
    """Audience, the fields of the profile, single use."""
    settings: OAuthTrust = view.settings
    kind = settings.kind
    if kind.audience and view.audience == kind.audience:
        yield AUD_COMMON.at("spec.audience", f"{view.audience!r} is the same for all who use {settings.profile}")
    for name in _TRUST_FIELDS:
        given = bool(value(settings, name)) and value(settings, name) != "False"
        yield from _field(settings, f"{where}.{name}", name, given=given, needed=kind.trust.get(name))
    seen: set[str] = set()
    for i, identity in enumerate(settings.targets):
        path = f"{where}.targets[{i}]"
        if identity.name in seen:
            yield TARGET_TWICE.at(f"{path}.name", f"{identity.name} was described before")
        seen.add(identity.name)
        for name in _TARGET_FIELDS:
            given = bool(value(identity, name))
            yield from _field(settings, f"{path}.{name}", name, given=given, needed=kind.target.get(name))
        if settings.profile == "TokenExchange" and not (identity.audience or identity.resource or identity.scopes):
            yield CHOICE.at(path, f"{identity.name} asks for nothing in particular")
    if settings.once and view.assertion_seconds > view.session_seconds:
        yield SINGLE_USE.at(
            "spec.ceilings.assertionSeconds",
            f"{view.assertion_seconds} is above sessionSeconds, {view.session_seconds}",
        )
    if settings.profile == "Hydra":
        yield from _same_scopes(settings, where)


def target(settings: OAuthTrust, name: str, path: str) -> Iterator[Finding]:
    """OAU-TARGET-FORM."""
    if not is_target_name(name):
        yield TARGET_FORM.at(path, f"{name!r} is not the name of a target")
    elif settings.identity(name) is None:
        known = ", ".join(sorted({one.name for one in settings.targets}))
        yield TARGET_FORM.at(path, f"{name!r} is not among the trust's targets ({known})")


def shared_assertions(settings: OAuthTrust, bindings: Sequence[BindingView], path: str) -> Iterator[Finding]:
    """STS-SINGLE-USE: two bindings of one service account have one assertion in a pod."""
    if not settings.once:
        return
    users = sorted((subject, binding.key) for binding in bindings for subject in binding.subjects)
    for (subject, one), (other_subject, other) in pairwise(users):
        if subject == other_subject:
            yield SINGLE_USE.at(path, f"WorkloadBindings {one} and {other} both present the assertion of {subject}")


def documents(access: OAuthAccess) -> Iterator[Finding]:
    """Rules on documents, ours or anybody's; paths are ``FILE:FIELD``."""
    for name, one in access.named(TRUST).items():
        if one.get("allow_any_subject") or not one.get("subject"):
            yield BROAD.at(f"{name}:subject", "every subject of the issuer is let in")
    for name, one in access.named(RULE).items():
        if told := _broad(access.profile, one):
            yield BROAD.at(f"{name}:match", told)
    longest = (access.files.get(PROVIDER) or {}).get("max_jwt_lifetime_seconds")
    if access.profile == "Anthropic" and isinstance(longest, int) and not 0 < longest <= _LONGEST_LIFE:
        yield LIFE.at(f"{PROVIDER}:max_jwt_lifetime_seconds", f"{longest} is not within 1 and {_LONGEST_LIFE}")


def _broad(profile: str, rule: Document) -> str:
    if profile == "OpenAI":
        return "" if "subject" in (rule.get("attribute_matchers") or {}) else "no subject is matched"
    match = rule.get("match") or {}
    if profile == "Kernel":
        exact = "subject" in match or {"namespace", "service_account"} <= set(match)
        return "" if exact else "neither a subject nor both namespace and service account are matched"
    if str(match.get("subject_prefix", "")).endswith("*"):
        return f"every subject that begins with {match['subject_prefix'][:-1]!r} is let in"
    stranger: dict[str, Any] = {
        "sub": "system:serviceaccount:x7f:q9",
        "aud": match.get("audience"),
        "kubernetes.io": {},
    }
    return "a stranger is let in" if evaluate.matches(rule, stranger) or not set(match) - {"audience"} else ""


def _field(settings: OAuthTrust, path: str, name: str, *, given: bool, needed: bool | None) -> Iterator[Finding]:
    if given and needed is None:
        yield FIELD.at(path, f"{settings.profile} has no {name}")
    elif needed and not given:
        yield FIELD.at(path, f"{settings.profile} needs {name}")


def _same_scopes(settings: OAuthTrust, where: str) -> Iterator[Finding]:
    for i, one in enumerate(settings.targets):
        for other in settings.targets:
            if one.name != other.name and set(one.scopes) <= set(other.scopes):
                yield SAME_SCOPES.at(f"{where}.targets[{i}].scopes", f"{other.name} has all scopes of {one.name}")
                break
