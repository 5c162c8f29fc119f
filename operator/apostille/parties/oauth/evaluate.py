"""Who gets in, by each service's own semantics; what cannot be evaluated is never a pass."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from apostille.parties.oauth.documents import (
    CLIENT,
    JWT_BEARER,
    PROVIDER,
    RULE,
    SERVICE,
    TRUST,
    Document,
    OAuthAccess,
)
from apostille.parties.party import Acceptance, Claims, Verdict

# What `documents.condition` writes, and nothing else.
_SUBJECTS = re.compile(r"claims\.sub in (\[[^\[\]]*\])")
_UIDS = re.compile(r'claims\["kubernetes\.io"\]\.serviceaccount\.uid in (\[[^\[\]]*\])')


def evaluate(access: OAuthAccess, claims: Claims, target: str) -> Verdict:
    """Judges an assertion's claims for one target."""
    known = access.service.get("targets") or {}
    if target not in known:
        return Verdict(False, "TargetMissing")
    return _JUDGES.get(access.profile, _generic)(access, claims, target)


def acceptances(access: OAuthAccess) -> Iterator[Acceptance]:
    """Every target, by the service's own issuer where its documents name one."""
    service = access.service
    provider = access.files.get(PROVIDER) or {}
    issuer = provider.get("issuer_url") or provider.get("issuer") or service.get("issuer", "")
    for target in service.get("targets") or {}:
        rule = f"{RULE}{target}.json"
        own = access.files.get(rule) or {}
        audience = (own.get("match") or {}).get("audience") or own.get("expected_audience") or provider.get("audience")
        file = rule if rule in access.files else SERVICE
        yield Acceptance(file, target, str(issuer), str(audience or service.get("audience", "")))


def audiences(claims: Claims) -> list[Any]:
    """``aud`` as a list, whichever of its two forms it has (RFC 7519 §4.1.3)."""
    found = claims.get("aud")
    return list(found) if isinstance(found, list | tuple) else [found]


def matches(rule: Document, claims: Claims) -> bool | None:
    """Whether a rule of Anthropic's admits the claims; None where its condition cannot be evaluated here."""
    match = rule.get("match") or {}
    prefix, written = str(match.get("subject_prefix", "")), str(match.get("condition", ""))
    subject = str(claims.get("sub", ""))
    if prefix.endswith("*") and not subject.startswith(prefix[:-1]):
        return False
    if prefix and not prefix.endswith("*") and subject != prefix:
        return False
    if any(claims.get(name) != wanted for name, wanted in (match.get("claims") or {}).items()):
        return False
    for part in written.split(" && ") if written else ():
        if found := _SUBJECTS.fullmatch(part):
            value: Any = claims.get("sub")
        elif found := _UIDS.fullmatch(part):
            value = _inside(claims, "kubernetes.io", "serviceaccount", "uid")
        else:
            return None
        if value not in json.loads(found[1]):
            return False
    return bool(prefix or written or match.get("claims"))


def _generic(access: OAuthAccess, claims: Claims, target: str) -> Verdict:
    """As ``service.json`` says it: the service's own configuration is not ours to see."""
    service = access.service
    if claims.get("iss") != service.get("issuer"):
        return Verdict(False, "IssuerUnknown")
    if service.get("audience") not in audiences(claims):
        return Verdict(False, "AudienceMismatch")
    subjects = service["targets"][target].get("subjects") or ()
    return Verdict(True) if claims.get("sub") in subjects else Verdict(False, "SubjectMismatch")


def _hydra(access: OAuthAccess, claims: Claims, target: str) -> Verdict:
    """fosite v0.49, handler/rfc7523: a key by issuer and subject, scopes, audience; the client apart."""
    service = access.service
    wanted = service["targets"][target]
    scopes = set(wanted.get("scopes") or ())
    clients = {one.get("client_id"): one for one in access.named(CLIENT).values()}
    client = clients.get(wanted.get("clientID"))
    if client is None or JWT_BEARER not in (client.get("grant_types") or ()):
        return Verdict(False, "TargetMissing")
    trusts = list(access.named(TRUST).values())
    if not any(one.get("issuer") == claims.get("iss") for one in trusts):
        return Verdict(False, "IssuerUnknown" if trusts else "SubjectMismatch")
    mine = [
        one
        for one in trusts
        if one.get("issuer") == claims.get("iss")
        and (one.get("allow_any_subject") or one.get("subject") == claims.get("sub"))
    ]
    if not mine:
        return Verdict(False, "SubjectMismatch")
    if service.get("audience") not in audiences(claims):
        return Verdict(False, "AudienceMismatch")
    if not scopes <= set(str(client.get("scope", "")).split()):
        return Verdict(False, "ConditionRejected")
    granted = any(scopes <= set(one.get("scope") or ()) for one in mine)
    return Verdict(True) if granted else Verdict(False, "ConditionRejected")


def _anthropic(access: OAuthAccess, claims: Claims, target: str) -> Verdict:
    """Issuer, the rule that the request names, its audience (any of the token's), lifetime."""
    provider = access.files.get(PROVIDER) or {}
    rule = access.files.get(f"{RULE}{target}.json")
    if provider.get("issuer_url") != claims.get("iss"):
        return Verdict(False, "IssuerUnknown")
    if rule is None:
        return Verdict(False, "TargetMissing")
    if (rule.get("match") or {}).get("audience") not in audiences(claims):
        return Verdict(False, "AudienceMismatch")
    admitted = matches(rule, claims)
    if admitted is None:
        return Verdict(False, "Unknown")
    return Verdict(True) if admitted else Verdict(False, "SubjectMismatch")


def _openai(access: OAuthAccess, claims: Claims, target: str) -> Verdict:
    """Issuer and audience of the provider, then any rule for the account whose matchers all equal."""
    provider = access.files.get(PROVIDER) or {}
    if not provider.get("enabled", True) or provider.get("issuer") != claims.get("iss"):
        return Verdict(False, "IssuerUnknown")
    if provider.get("audience") not in audiences(claims):
        return Verdict(False, "AudienceMismatch")
    # A target's name may be the beginning of another's.
    mine = re.compile(rf"{re.escape(RULE + target)}-[0-9a-f]{{12}}\.json")
    rules = [rule for name, rule in access.files.items() if mine.fullmatch(name) and rule.get("enabled", True)]
    exact = (rule.get("attribute_matchers") or {} for rule in rules)
    admitted = any(one == {"subject": claims.get("sub")} for one in exact)
    return Verdict(True) if admitted else Verdict(False, "SubjectMismatch")


def _kernel(access: OAuthAccess, claims: Claims, target: str) -> Verdict:
    """Issuer, the rule that the request names, exactly one audience, namespace and service account."""
    provider = access.files.get(PROVIDER) or {}
    rule = access.files.get(f"{RULE}{target}.json")
    if provider.get("issuer") != claims.get("iss"):
        return Verdict(False, "IssuerUnknown")
    if rule is None:
        return Verdict(False, "TargetMissing")
    if audiences(claims) != [rule.get("expected_audience")]:
        return Verdict(False, "AudienceMismatch")
    match = rule.get("match") or {}
    found = {
        "namespace": _inside(claims, "kubernetes.io", "namespace"),
        "service_account": _inside(claims, "kubernetes.io", "serviceaccount", "name"),
        "subject": claims.get("sub"),
    }
    if not match or not set(match) <= set(found):
        return Verdict(False, "Unknown")
    admitted = all(found[name] == wanted for name, wanted in match.items())
    return Verdict(True) if admitted else Verdict(False, "SubjectMismatch")


_JUDGES: Mapping[str, Callable[[OAuthAccess, Claims, str], Verdict]] = {
    "Hydra": _hydra,
    "Anthropic": _anthropic,
    "OpenAI": _openai,
    "Kernel": _kernel,
}


def _inside(claims: Claims, *path: str) -> Any:
    found: Any = claims
    for part in path:
        found = found.get(part) if isinstance(found, Mapping) else None
    return found
