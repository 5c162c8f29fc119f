"""Checks of single values, the same for every party. Each yields findings for one field path."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.model.names import SYSTEM_NAMESPACES
from apostille.rules import catalogue

MAX_AUDIENCE = 255
MIN_SECONDS, MAX_SECONDS, LONG_SECONDS = 600, 86400, 3600
# What the API server stretches to a year for its own audience (kube-apiserver, WarnOnlyBoundTokenExpirationPeriod).
EXTENDED_SECONDS = 3607

# Names by which an API server is known inside its cluster, whatever its flags say: kubernetes.default.svc is also the
# default of --api-audiences, through the issuer.
_API_SERVER = re.compile(r"kubernetes(\.default(\.svc(\.[a-z0-9-]+(\.[a-z0-9-]+)*)?)?)?\.?(:[0-9]+)?")


def bare(name: str) -> str:
    """An audience or an issuer without what people vary by mistake: scheme, case, trailing slashes."""
    return re.sub(r"^[a-z][a-z0-9+.-]*://", "", name.strip().lower()).rstrip("/")


def is_api_server(audience: str, issuer: Issuer | None) -> bool:
    """Whether a token for this audience would be accepted by this cluster's API server, in any spelling."""
    if _API_SERVER.fullmatch(bare(audience)):
        return True
    own = {*issuer.api_audiences, issuer.url} if issuer else set()
    return bare(audience) in {bare(value) for value in own}


def audience(value: str, path: str, issuer: Issuer | None) -> Iterator[Finding]:
    """X-AUD-EMPTY, -APISERVER, -WILDCARD (cloud-trust §19.1)."""
    if not value.strip():
        yield catalogue.AUD_EMPTY.at(path, "the audience is empty")
        return
    if is_api_server(value, issuer):
        yield catalogue.AUD_APISERVER.at(path, f"{value!r} is an audience of this cluster's own API server")
    if len(value) > MAX_AUDIENCE:
        yield catalogue.AUD_WILDCARD.at(
            path, f"the audience has {len(value)} characters, at most {MAX_AUDIENCE} are allowed"
        )
    elif bad := sorted({c for c in value if c in "*?" or not c.isprintable() or c.isspace()}):
        shown = ", ".join(repr(c) for c in bad)
        yield catalogue.AUD_WILDCARD.at(path, f"{value!r} contains {shown}; an audience is compared byte for byte")


def issuer(issuer: Issuer, path: str) -> Iterator[Finding]:
    """X-ISSUER-SHARED: what kubeadm, kind and others name every cluster's issuer."""
    if _API_SERVER.fullmatch(bare(issuer.url)):
        yield catalogue.ISSUER_SHARED.at(path, f"the cluster's issuer is {issuer.url!r}")


def service_account(namespace: str, name: str, path: str) -> Iterator[Finding]:
    """X-SUB-WILDCARD and X-SUB-DEFAULT for a service account's name."""
    if any(c in name for c in "*?"):
        yield catalogue.SUB_WILDCARD.at(path, f"{name!r} is a pattern, and patterns are never expanded")
    elif name == "default":
        yield catalogue.SUB_DEFAULT.at(path, f"the service account `default` of {namespace} would be bound")


def namespace(name: str, path: str, own_namespace: str) -> Iterator[Finding]:
    """X-SUB-WILDCARD and X-SUB-SYSTEM-NS for a namespace's name."""
    if any(c in name for c in "*?"):
        yield catalogue.SUB_WILDCARD.at(path, f"{name!r} is a pattern, and patterns are never expanded")
    elif name in (*SYSTEM_NAMESPACES, own_namespace):
        yield catalogue.SUB_SYSTEM.at(path, f"{name} is a system namespace")


def lifetime(seconds: int, path: str, ceiling: int | None = None) -> Iterator[Finding]:
    """X-LIFE: bounds of a token's life in seconds, and the trust's ceiling where there is one."""
    if seconds < MIN_SECONDS or seconds > MAX_SECONDS:
        yield catalogue.LIFE.at(path, f"{seconds} seconds is not between {MIN_SECONDS} and {MAX_SECONDS}")
    elif ceiling is not None and seconds > ceiling:
        yield catalogue.LIFE.at(
            path, f"{seconds} seconds is over the trust's ceiling of {ceiling}", f"Ask for at most {ceiling} seconds"
        )
    elif seconds == EXTENDED_SECONDS:
        yield catalogue.LIFE_3607.at(path, "3607 seconds would be stretched")
    elif seconds > LONG_SECONDS:
        yield catalogue.LIFE_LONG.at(path, f"{seconds} seconds is longer than an hour")


def first_of_each(findings: Iterable[Finding]) -> list[Finding]:
    """Without repetitions of the same rule at the same path, in order."""
    seen: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        seen.setdefault((finding.path, finding.rule.id), finding)
    return list(seen.values())
