"""The cluster as an issuer."""

from __future__ import annotations

import re

from apostille.core.doctor.check import Check, Level, Observed
from apostille.kinds.federation_trust import FederationTrust

# Names that only this cluster, or this machine, resolves.
_PRIVATE = re.compile(r"https?://([^/]*\.)?(svc|local|localhost|internal)(:[0-9]+)?(/.*)?|.*\.svc\..*", re.IGNORECASE)


def issuer_check(observed: Observed) -> Check:
    """Its document, whether trusts were rendered for it, and who can reach it."""
    url = str(observed.issuer.get("issuer", ""))
    keys = len(observed.keys)
    if not url or not keys:
        return Check(
            "issuer", Level.FAIL, "the API server publishes no issuer or no keys",
            "set --service-account-issuer and --service-account-signing-key-file of the API server",
        )  # fmt: skip
    said = f"{url} with {keys} key{'s'[: keys != 1]}"
    told = {
        str((trust.raw_status.get("issuer") or {}).get("url"))
        for trust in observed.trusts
        if isinstance(trust, FederationTrust) and trust.raw_status.get("issuer")
    }
    if other := sorted(told - {url}):
        return Check(
            "issuer", Level.FAIL, f"{said}, but trusts were rendered for {other[0]}",
            "set up at the relying parties what is rendered now (apostille render); both until old tokens end",
        )  # fmt: skip
    if _PRIVATE.fullmatch(url):
        return Check(
            "issuer", Level.WARN, f"{said}; only this cluster can reach it, which public clouds need",
            "publish discovery document and keys under a public https URL and set --service-account-issuer to it; "
            "nothing to do if all parties are inside",
        )  # fmt: skip
    if observed.issuer_here:
        return Check(
            "issuer", Level.WARN, f"{said}; from this machine: {observed.issuer_here}",
            "make the discovery document reachable under exactly this URL for parties that fetch it themselves",
        )  # fmt: skip
    reached = "" if observed.issuer_here is None else ", reached from this machine"
    return Check("issuer", Level.OK, f"{said}{reached}")
