"""What the relying party must hold, over all live bindings of a trust."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from apostille.core.resolve import ResolvedBinding
from apostille.kinds.federation_trust import FederationTrust, Rendering
from apostille.model.finding import Finding, refusals
from apostille.model.identity import Issuer, ServiceAccount
from apostille.parties.party import BindingView, Format, Limit

MAX_BYTES = 1_000_000  # a ConfigMap holds 1 MiB in all

_FORMS: Mapping[Rendering, Format] = {"Native": "native", "CLI": "cli", "Terraform": "terraform"}


@dataclass(frozen=True, slots=True)
class DesiredAccess:
    """Rendered documents by file name, their digest, what the far side would refuse, and what its bounds are.

    ``absent`` are bound service accounts that do not exist, of a trust that pins instances: they are not let in.
    """

    files: Mapping[str, str]
    digest: str
    findings: tuple[Finding, ...] = ()
    limits: tuple[Limit, ...] = ()
    absent: tuple[ServiceAccount, ...] = ()


def pinned(trust: FederationTrust, bindings: Sequence[ResolvedBinding]) -> frozenset[ServiceAccount]:
    """The service accounts whose UIDs `access` needs: none, unless the trust pins instances."""
    if not trust.party.pins_instances(trust.view.settings):
        return frozenset()
    return frozenset(account for one in bindings if one.live for account in one.binding.service_accounts)


def access(
    trust: FederationTrust,
    bindings: Sequence[ResolvedBinding],
    issuer: Issuer,
    uids: Mapping[ServiceAccount, str] | None = None,
) -> DesiredAccess:
    """Deterministic; ``bindings`` are those of this trust, only the live ones count; ``uids`` are of those `pinned`.

    Raises ValueError when the documents cannot be handed out.
    """
    party, view = trust.party, trust.view
    pins = party.pins_instances(view.settings)
    live = (_view(one, trust, uids or {}, pins=pins) for one in bindings if one.live)
    views = [one for one in live if one.subjects]
    desired = party.access(view, views, issuer)
    limits = tuple(party.limits(view, views, issuer))
    digest = hashlib.sha256(desired.canonical()).hexdigest()
    files: dict[str, str] = {}
    for written in trust.spec.configuration.formats:
        files |= party.render(desired, _FORMS[written])
    _check_size(files)
    return DesiredAccess(
        files=files,
        digest=f"sha256:{digest[:32]}",
        findings=(
            *refusals(party.findings(view, views, issuer)),
            *(finding for limit in limits for finding in limit.findings("spec.allow")),
        ),
        limits=limits,
        absent=tuple(sorted(account for account in pinned(trust, bindings) if account not in (uids or {}))),
    )


def _view(
    resolved: ResolvedBinding, trust: FederationTrust, uids: Mapping[ServiceAccount, str], *, pins: bool
) -> BindingView:
    mine = {account.name: uids[account] for account in resolved.binding.service_accounts if account in uids}
    return resolved.binding.view(trust.party, mine if pins else None)


def _check_size(files: Mapping[str, str]) -> None:
    if (size := _bytes(files.values())) > MAX_BYTES:
        raise ValueError(
            f"the documents have {size} bytes, a ConfigMap takes {MAX_BYTES}: name fewer spec.configuration.formats, "
            "or declare a second FederationTrust for some of the bindings"
        )


def _bytes(texts: Iterable[str]) -> int:
    return sum(len(text.encode()) for text in texts)
