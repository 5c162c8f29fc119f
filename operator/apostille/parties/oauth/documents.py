"""The service's side of the trust as documents: what it must be told, in its own form where it has one (§13.3).

``service.json`` says what holds for all: profile, issuer, audience, targets; nothing of it is sent. Beside it lie the
bodies of the service's own API.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apostille.model.identity import Issuer
from apostille.parties import shape
from apostille.parties.oauth.settings import OAuthIdentity, OAuthTrust
from apostille.parties.party import TrustView

SERVICE = "service.json"
PROVIDER, RULE, CLIENT, TRUST = "provider.json", "rule-", "client-", "trust-"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# Hydra asks for an end; ours is when the document is deleted.
_NO_END = "2099-12-31T23:59:59Z"

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bound:
    """One target with all that is bound to it: subjects as (namespace, name), and their UIDs where instances count."""

    identity: OAuthIdentity
    accounts: tuple[tuple[str, str], ...]
    uids: tuple[str, ...] = ()

    @property
    def subjects(self) -> tuple[str, ...]:
        """The exact ``sub`` claims."""
        return tuple(f"system:serviceaccount:{namespace}:{name}" for namespace, name in self.accounts)


@dataclass(frozen=True, slots=True)
class OAuthAccess:
    """The documents by file name."""

    files: Mapping[str, Document]

    @property
    def service(self) -> Document:
        """What holds for all."""
        return self.files.get(SERVICE, {})

    @property
    def profile(self) -> str:
        """The trust's."""
        return str(self.service.get("profile", ""))

    def named(self, prefix: str) -> dict[str, Document]:
        """The documents of a kind, by file name."""
        return {name: self.files[name] for name in sorted(self.files) if name.startswith(prefix)}

    def canonical(self) -> bytes:
        """The rendered documents."""
        return json.dumps(render(self), sort_keys=True).encode()


def made(trust: TrustView, issuer: Issuer, bound: Sequence[Bound]) -> OAuthAccess:
    """All documents of a trust."""
    settings: OAuthTrust = trust.settings
    own = _OWN.get(settings.profile, _nothing)
    return OAuthAccess({SERVICE: _service(trust, issuer, bound), **dict(own(trust, issuer, bound))})


def render(access: OAuthAccess) -> dict[str, str]:
    """Native documents by file name."""
    return {name: json.dumps(access.files[name], indent=2, ensure_ascii=True) + "\n" for name in sorted(access.files)}


_SERVICE = {
    "profile": str,
    "issuer": str,
    "audience": str,
    "targets": {"*": {"subjects": [str], "scopes": [str], "clientID": str}},
}
# Members of providers, rules, clients and trust relationships; none means different things in two of them.
_DOCUMENT = {
    "name": str,
    "issuer": str,
    "issuer_url": str,
    "audience": str,
    "enabled": bool,
    "max_jwt_lifetime_seconds": int,
    "match": {
        "audience": str,
        "subject": str,
        "subject_prefix": str,
        "condition": str,
        "claims": {"*": shape.ANYTHING},
        "namespace": str,
        "service_account": str,
    },
    "attribute_matchers": {"*": shape.ANYTHING},
    "expected_audience": str,
    "client_id": str,
    "grant_types": [str],
    "subject": str,
    "allow_any_subject": bool,
}


def parse(files: Mapping[str, str]) -> OAuthAccess:
    """Reads what ``render`` writes, also when somebody edited it. Raises ValueError naming the file."""
    read: dict[str, Document] = {}
    for name in sorted({SERVICE, *(one for one in files if one.endswith(".json") and not one.endswith(".tf.json"))}):
        read[name] = shape.read(files, name, _SERVICE if name == SERVICE else _DOCUMENT)
    return OAuthAccess(read)


def uploaded(access: OAuthAccess) -> Iterator[tuple[str, str, str]]:
    """The keys of Hydra's trusts, which have one each: the first that has one, the issuer, a key set as text."""
    of: dict[str, tuple[str, list[Any]]] = {}
    for name, one in access.named(TRUST).items():
        if isinstance(key := one.get("jwk"), dict):
            _, keys = of.setdefault(str(one.get("issuer", "")), (f"{name}:jwk", []))
            keys.append(key)
    for issuer, (where, keys) in of.items():
        yield where, issuer, json.dumps({"keys": keys})


def condition(subjects: Iterable[str], uids: Iterable[str]) -> str:
    """A condition in CEL over the token's claims: these subjects, and these instances where there are any."""
    written = f"claims.sub in {json.dumps(sorted(subjects))}"
    if pinned := sorted(uids):
        written += f' && claims["kubernetes.io"].serviceaccount.uid in {json.dumps(pinned)}'
    return written


def _service(trust: TrustView, issuer: Issuer, bound: Sequence[Bound]) -> Document:
    settings: OAuthTrust = trust.settings
    return {
        "profile": settings.profile,
        "tokenEndpoint": settings.endpoint,
        "issuer": issuer.url,
        "jwksURI": f"{issuer.url.rstrip('/')}/openid/v1/jwks",
        "algorithms": list(issuer.algorithms),
        "audience": trust.audience,
        "targets": {one.identity.name: _target(one) for one in bound},
    }


def _target(one: Bound) -> Document:
    identity = one.identity
    told = {
        "clientID": identity.client_id,
        "scopes": list(identity.scopes),
        "audience": identity.audience,
        "resource": identity.resource,
    }
    return {"subjects": list(one.subjects)} | {name: value for name, value in told.items() if value}


def _nothing(trust: TrustView, issuer: Issuer, bound: Sequence[Bound]) -> Iterable[tuple[str, Document]]:
    return ()


def _hydra(trust: TrustView, issuer: Issuer, bound: Sequence[Bound]) -> Iterable[tuple[str, Document]]:
    """Ory Hydra 2.3, admin API: clients, and a trust for each subject and key."""
    scopes: dict[str, set[str]] = {}
    for one in bound:
        for subject in one.subjects:
            scopes.setdefault(subject, set()).update(one.identity.scopes)
    clients: dict[str, set[str]] = {}
    for one in bound:
        clients.setdefault(one.identity.client_id, set()).update(one.identity.scopes)
    for client, asked in sorted(clients.items()):
        yield (
            f"{CLIENT}{_key(client)}.json",
            {
                "client_id": client,
                "grant_types": [JWT_BEARER],
                "response_types": [],
                # Public: who may ask is the assertion's to say, and a secret would be one more to keep.
                "token_endpoint_auth_method": "none",
                "scope": " ".join(sorted(asked)),
                "jwt_bearer_grant_access_token_lifespan": f"{trust.session_seconds}s",
            },
        )
    keys = json.loads(issuer.jwks)["keys"] if issuer.jwks else []
    for subject, allowed in sorted(scopes.items()):
        for key in keys:
            yield (
                f"{TRUST}{_key(subject + ' ' + key.get('kid', ''))}.json",
                {
                    "issuer": issuer.url,
                    "subject": subject,
                    "allow_any_subject": False,
                    "scope": sorted(allowed),
                    "jwk": key,
                    "expires_at": _NO_END,
                },
            )


def _anthropic(trust: TrustView, issuer: Issuer, bound: Sequence[Bound]) -> Iterable[tuple[str, Document]]:
    """``federation_issuers`` and ``federation_rules`` (cloud-trust §13.3)."""
    settings: OAuthTrust = trust.settings
    yield (
        PROVIDER,
        {
            "name": trust.name,
            "issuer_url": issuer.url,
            "jwks": {"type": "discovery"},
            # A pod has one token until the kubelet brings the next.
            "check_jti": settings.once,
            "max_jwt_lifetime_seconds": trust.assertion_seconds,
        },
    )
    for one in bound:
        target = {"type": "service_account", "service_account_id": one.identity.service_account_id}
        workspace = {"workspace_id": one.identity.workspace_id} if one.identity.workspace_id else {}
        yield (
            f"{RULE}{one.identity.name}.json",
            {
                "name": f"{trust.name}-{one.identity.name}",
                "match": {"audience": trust.audience, "condition": condition(one.subjects, one.uids)},
                "target": target,
                "token_lifetime_seconds": min(trust.session_seconds, 86400),
                **workspace,
            },
        )


def _openai(trust: TrustView, issuer: Issuer, bound: Sequence[Bound]) -> Iterable[tuple[str, Document]]:
    """``workload_identity_providers`` and their ``federation_rules``, one for each subject: matchers are exact."""
    yield (
        PROVIDER,
        {
            "name": trust.name,
            "type": "oidc",
            "issuer": issuer.url,
            "audience": trust.audience,
            "verification": {"type": "discovery"},
            "attribute_transformations": [{"attribute": "subject", "expression": "claims.sub"}],
            "enabled": True,
        },
    )
    for one in bound:
        for subject in one.subjects:
            yield (
                f"{RULE}{one.identity.name}-{_digest(subject)}.json",
                {
                    "name": f"{trust.name}-{one.identity.name}-{_digest(subject)}",
                    "project_id": one.identity.project_id,
                    "service_account_id": one.identity.service_account_id,
                    "attribute_matchers": {"subject": subject},
                    "permissions": {"type": "service_account_default"},
                    "enabled": True,
                },
            )


def _kernel(trust: TrustView, issuer: Issuer, bound: Sequence[Bound]) -> Iterable[tuple[str, Document]]:
    """An issuer and, for each target, the rule that its requests name."""
    yield PROVIDER, {"name": trust.name, "issuer": issuer.url, "allow_token_reuse": not trust.settings.once}
    for one in bound:
        namespace, name = one.accounts[0]
        yield (
            f"{RULE}{one.identity.name}.json",
            {
                "name": f"{trust.name}-{one.identity.name}",
                "match": {"namespace": namespace, "service_account": name},
                "expected_audience": trust.audience,
                "max_token_ttl_seconds": min(trust.session_seconds, 600),
            },
        )


_OWN = {"Hydra": _hydra, "Anthropic": _anthropic, "OpenAI": _openai, "Kernel": _kernel}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _key(text: str) -> str:
    """A part of a ConfigMap's key: the text where it can be one, else its digest."""
    plain = text.replace("-", "").replace("_", "").replace(".", "")
    return text if len(text) <= 128 and plain.isascii() and plain.isalnum() else _digest(text)
