"""Key sets and algorithms, whoever publishes or was given them (RFC 7517, RFC 7518, cloud-trust §19.1)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.rules import catalogue

# Private members of RSA and EC keys, and the one member of a symmetric key (RFC 7518 §6).
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
# Nothing else belongs to a public key, and Google takes nothing else (cloud-trust §4.1).
_PUBLIC = ("kty", "alg", "use", "kid", "n", "e", "x", "y", "crv")


def issuer(url: str, document: Mapping[str, Any], api_audiences: Iterable[str] = ()) -> Issuer:
    """The issuer of this URL that publishes these keys. Raises ValueError for what is no key set (RFC 7517 §5)."""
    keys = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(keys, list) or not all(isinstance(key, Mapping) for key in keys):
        raise ValueError("not a JSON Web Key Set: an object with a list of keys")
    return Issuer(
        url=url,
        key_ids=tuple(sorted(str(key.get("kid", "")) for key in keys)),
        algorithms=tuple(sorted({str(key["alg"]) for key in keys if key.get("alg")})) or ("RS256",),
        api_audiences=tuple(sorted(api_audiences)),
        jwks=_public(keys),
    )


def _public(keys: Iterable[Mapping[str, Any]]) -> str:
    """The keys in the order of their ids, so that the same keys are the same text."""
    kept = [{member: key[member] for member in _PUBLIC if member in key} for key in keys]
    return json.dumps({"keys": sorted(kept, key=lambda key: str(key.get("kid", "")))}, separators=(",", ":"))


def algorithms(named: Iterable[Any], path: str) -> Iterator[Finding]:
    """X-ALG."""
    for name in map(str, named):
        if name.lower() == "none" or name.upper().startswith("HS"):
            yield catalogue.ALG.at(path, f"{name} is among the algorithms")


def key_set(document: Mapping[str, Any], path: str, issuer: Issuer | None = None) -> Iterator[Finding]:
    """X-JWKS-PRIVATE and X-ALG for every key; X-JWKS-STALE where the ``issuer`` that should sign with them is known."""
    keys = [key for key in document.get("keys") or () if isinstance(key, Mapping)]
    for i, key in enumerate(keys):
        if held := [member for member in _PRIVATE if member in key]:
            yield catalogue.JWKS_PRIVATE.at(f"{path}.keys[{i}]", f"it has the members {', '.join(held)}")
        if "alg" in key:
            yield from algorithms([key["alg"]], f"{path}.keys[{i}].alg")
    if issuer is None or not issuer.key_ids:
        return
    have = {str(key.get("kid", "")) for key in keys}
    if missing := sorted(set(issuer.key_ids) - have):
        yield catalogue.JWKS_STALE.at(
            f"{path}.keys", f"{issuer.url} signs with {', '.join(missing)}, which is not there"
        )
    if left := sorted(have - set(issuer.key_ids)):
        yield catalogue.JWKS_STALE.at(f"{path}.keys", f"{issuer.url} does not publish {', '.join(left)} any more")
