"""Google's side of the trust as documents: pool, provider, members of service accounts (cloud-trust §4.1, §4.2)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apostille.parties import shape
from apostille.parties.gcp import cel

POOL, PROVIDER, DIRECT = "pool.json", "provider.json", "direct-access.json"
ROLE = "roles/iam.workloadIdentityUser"
# Both hold iam.serviceAccounts.getAccessToken ("Service account impersonation", IAM roles).
IMPERSONATES = (ROLE, "roles/iam.serviceAccountTokenCreator")
MAX_AUDIENCES = 10

_NAMESPACE = "assertion['kubernetes.io']['namespace']"
_ACCOUNT = "assertion['kubernetes.io']['serviceaccount']"
_FILE, _AT = "service-account-", "_at_"


@dataclass(frozen=True, slots=True)
class GCPAccess:
    """The documents themselves: ``pool`` and ``provider``, IAM policies of ``service_accounts`` by email.

    ``direct`` are the principals that have access without a service account; their roles are granted elsewhere.
    """

    pool: Mapping[str, Any]
    provider: Mapping[str, Any]
    service_accounts: Mapping[str, Mapping[str, Any]]
    direct: tuple[str, ...] = ()

    @property
    def pool_name(self) -> str:
        """The pool's resource name."""
        return self.provider_name.partition("/providers/")[0]

    @property
    def provider_name(self) -> str:
        """The provider's resource name."""
        return str(self.provider.get("name", ""))

    @property
    def oidc(self) -> Mapping[str, Any]:
        """What the provider says of the issuer."""
        found = self.provider.get("oidc")
        return found if isinstance(found, Mapping) else {}

    @property
    def audiences(self) -> tuple[str, ...]:
        """What the provider accepts: without a list its own name, with and without a scheme (cloud-trust §4.1)."""
        listed = tuple(str(audience) for audience in self.oidc.get("allowedAudiences") or ())
        name = f"//iam.googleapis.com/{self.provider_name}"
        return listed or (name, f"https:{name}")

    def canonical(self) -> bytes:
        """The rendered documents."""
        return json.dumps(render(self), sort_keys=True).encode()


def google_subject(provider: str, namespace: str, name: str) -> str:
    """``google.subject`` of a service account: with the provider's id, since a pool's principals do not name it."""
    return f"{provider}/{namespace}/{name}"


def principal(pool_name: str, subject: str) -> str:
    """The IAM member that is one subject of a pool."""
    return f"principal://iam.googleapis.com/{pool_name}/subject/{subject}"


def pool(name: str) -> dict[str, Any]:
    """Nothing of a pool but its name matters."""
    return {"name": name, "disabled": False}


def provider(
    name: str, issuer: str, audience: str, subjects: Iterable[str], uids: Iterable[str] = (), jwks: str = ""
) -> dict[str, Any]:
    """The provider: this issuer, this audience, exactly these subjects; with ``uids`` these instances alone.

    ``jwks`` are the keys where they are uploaded.
    """
    prefix = cel.text(name.rpartition("/")[2] + "/")
    oidc: dict[str, Any] = {"issuerUri": issuer, "allowedAudiences": [audience]}
    if jwks:
        oidc["jwksJson"] = jwks
    return {
        "name": name,
        "disabled": False,
        "attributeMapping": {"google.subject": f"{prefix} + {_NAMESPACE} + '/' + {_ACCOUNT}['name']"},
        "attributeCondition": condition(subjects, uids),
        "oidc": oidc,
    }


def condition(subjects: Iterable[str], uids: Iterable[str] = ()) -> str:
    """The attribute condition; of nobody it is false."""
    exact = sorted(subjects)
    if not exact:
        return "false"
    made = f"assertion.sub in [{', '.join(map(cel.text, exact))}]"
    if instances := sorted(uids):
        made += f" && {_ACCOUNT}['uid'] in [{', '.join(map(cel.text, instances))}]"
    return made


def policy(members: Iterable[str]) -> dict[str, Any]:
    """What is added to a service account's IAM policy."""
    return {"bindings": [{"role": ROLE, "members": sorted(members)}]}


def account_file(email: str) -> str:
    """The document of a service account's IAM policy."""
    return f"{_FILE}{email.replace('@', _AT)}.json"


def render(access: GCPAccess) -> dict[str, str]:
    """Native documents by file name: bodies of the IAM API, and members where roles are granted directly."""
    files = {POOL: _text(access.pool), PROVIDER: _text(access.provider)}
    for email in sorted(access.service_accounts):
        files[account_file(email)] = _text(access.service_accounts[email])
    if access.direct:
        files[DIRECT] = _text({"members": list(access.direct)})
    return files


_POOL = {"name": str, "displayName": str, "description": str, "disabled": bool}
_PROVIDER = {
    "name": str,
    "disabled": bool,
    "attributeCondition": str,
    "attributeMapping": {"*": str},
    "oidc": {"issuerUri": str, "allowedAudiences": [str], "jwksJson": str},
}
_POLICY = {"bindings": [{"role": str, "members": [str], "condition": {"*": str}}]}


def parse(files: Mapping[str, str]) -> GCPAccess:
    """Reads what ``render`` writes, also when somebody edited it. Raises ValueError naming the file."""
    accounts = {
        name.removeprefix(_FILE).removesuffix(".json").replace(_AT, "@"): shape.read(files, name, _POLICY)
        for name in sorted(files)
        if name.startswith(_FILE) and name.endswith(".json")
    }
    for email, found in accounts.items():
        for binding in _list(found.get("bindings")):
            if not isinstance(binding, Mapping) or not isinstance(binding.get("members"), list):
                raise ValueError(f"{account_file(email)}: bindings need a role and members")
    made = shape.read(files, PROVIDER, _PROVIDER)
    if not isinstance(made.get("name"), str) or not isinstance(made.get("oidc"), Mapping):
        raise ValueError(f"{PROVIDER}: needs name and oidc")
    direct = shape.read(files, DIRECT, {"members": [str]}).get("members", ()) if DIRECT in files else ()
    return GCPAccess(shape.read(files, POOL, _POOL), made, accounts, tuple(direct))


def uploaded(access: GCPAccess) -> Iterator[tuple[str, str, str]]:
    """The keys that the provider was given: where, of which issuer, as text."""
    if text := access.oidc.get("jwksJson"):
        yield f"{PROVIDER}:oidc.jwksJson", str(access.oidc.get("issuerUri", "")), str(text)


def members(found: Mapping[str, Any], roles: Iterable[str]) -> list[tuple[str, Mapping[str, Any] | None]]:
    """(member, IAM condition) of the bindings of these roles."""
    return [
        (str(member), binding.get("condition"))
        for binding in _list(found.get("bindings"))
        if binding.get("role") in tuple(roles)
        for member in binding["members"]
    ]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"
