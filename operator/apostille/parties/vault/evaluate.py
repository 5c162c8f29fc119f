"""Who gets in: the judgement of Vault's JWT auth method (hashicorp/vault-plugin-auth-jwt v0.25, path_login.go)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from apostille.parties.party import Acceptance, Claims, Verdict
from apostille.parties.vault.documents import VaultAccess

# Claims that say who somebody is; any other that does not match is a condition.
_SUBJECT_CLAIMS = ("sub", "/sub", "/kubernetes.io/namespace", "/kubernetes.io/serviceaccount/name")


def evaluate(access: VaultAccess, claims: Claims, target: str) -> Verdict:
    """Judges an assertion's claims in Vault's order: role, type, issuer, subject, audience, identity, bound claims."""
    role = access.roles.get(target.lower())
    if role is None:
        return Verdict(False, "TargetMissing")
    if role.get("role_type") != "jwt":
        return Verdict(False, "Misconfigured")
    # Without bound_issuer nothing compares it, a discovery URL included.
    if (issuer := access.config.get("bound_issuer")) and claims.get("iss") != issuer:
        return Verdict(False, "IssuerUnknown")
    if (subject := role.get("bound_subject")) and claims.get("sub") != subject:
        return Verdict(False, "SubjectMismatch")
    bound, presented = strings(role.get("bound_audiences")), strings(claims.get("aud"))
    if bound and not set(bound) & set(presented):
        return Verdict(False, "AudienceMismatch")
    if not bound and any(presented):
        return Verdict(False, "AudienceMismatch")
    pointer = bool(role.get("user_claim_json_pointer"))
    user = str(role.get("user_claim", ""))
    if not isinstance(_claim(claims, user) if pointer else claims.get(user), str):
        return Verdict(False, "ConditionRejected")
    for claim, wanted in (role.get("bound_claims") or {}).items():
        if not _matches(wanted, _claim(claims, claim), globs=role.get("bound_claims_type") == "glob"):
            return Verdict(False, "SubjectMismatch" if claim in _SUBJECT_CLAIMS else "ConditionRejected")
    return Verdict(True)


def acceptances(access: VaultAccess) -> Iterator[Acceptance]:
    """Every role with its audiences."""
    issuer = access.config.get("bound_issuer") or access.config.get("oidc_discovery_url") or ""
    for name, role in access.roles.items():
        for audience in strings(role.get("bound_audiences")):
            yield Acceptance(f"role-{name}.json", name, str(issuer), audience)


def strings(value: Any) -> list[str]:
    """A list as the API takes it: a list, one string, or several with commas between them (a CommaStringSlice)."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [str(part) for part in value or ()]


def glob(pattern: str, value: str) -> bool:
    """``*`` stands for anything, colons and slashes included; nothing else is special (ryanuber/go-glob)."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), value, re.DOTALL) is not None


def _claim(claims: Claims, name: str) -> Any:
    if not name.startswith("/"):
        return claims.get(name)
    found: Any = claims
    for part in name[1:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")  # RFC 6901
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return found


def _matches(wanted: Any, found: Any, *, globs: bool) -> bool:
    accepted, presented = _values(wanted), _values(found)
    if globs:
        return any(isinstance(one, str) and glob(str(pattern), one) for pattern in accepted for one in presented)
    return any(type(pattern) is type(one) and pattern == one for pattern in accepted for one in presented)


def _values(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    return [value] if isinstance(value, str | bool) else []
