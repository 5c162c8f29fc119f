"""What the relying party must hold, over all live bindings of a trust."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apostille.core.resolve import ResolvedBinding
from apostille.kinds.federation_trust import FederationTrust
from apostille.model.finding import Finding, refusals
from apostille.model.identity import Issuer


@dataclass(frozen=True, slots=True)
class DesiredAccess:
    """Rendered documents by file name, their digest, and what the far side would refuse."""

    files: Mapping[str, str]
    digest: str
    findings: tuple[Finding, ...] = ()


def access(trust: FederationTrust, bindings: Sequence[ResolvedBinding], issuer: Issuer) -> DesiredAccess:
    """Deterministic; ``bindings`` are those of this trust, only the live ones count."""
    party, view = trust.party, trust.view
    views = [resolved.binding.view(party) for resolved in bindings if resolved.live]
    desired = party.access(view, views, issuer)
    digest = hashlib.sha256(desired.canonical()).hexdigest()
    return DesiredAccess(
        files=party.render(desired, "native"),
        digest=f"sha256:{digest[:32]}",
        findings=tuple(refusals(party.findings(view, views, issuer))),
    )
