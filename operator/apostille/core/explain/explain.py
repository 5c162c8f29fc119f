"""The whole answer for one pod."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from apostille.core.explain.answer import TRUSTS, Explanation, Observed
from apostille.core.explain.declared import judge, names_account, unreadable
from apostille.core.explain.delivered import in_pod
from apostille.core.explain.pods import annotation, volumes
from apostille.core.explain.unbound import unbound, undeclared
from apostille.core.judge import Context
from apostille.core.pods import parsed_plan, projected_audiences
from apostille.core.resolve import World, resolve
from apostille.kinds.decode import Unreadable
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model import names
from apostille.model.identity import Issuer


def explain(observed: Observed, now: datetime) -> Explanation:
    """The answers for ``observed.pod`` at ``now`` (timezone-aware)."""
    account = observed.account
    readable = [binding for binding in observed.bindings if isinstance(binding, WorkloadBinding)]
    trusts = [trust for trust in observed.trusts if isinstance(trust, FederationTrust)]
    world = resolve(trusts, readable, Context(_issuer(trusts), observed.own_namespace), now)
    mine = [judge(one, world, observed) for one in world.bindings if account in one.binding.service_accounts]
    mine += [
        unreadable(one) for one in observed.bindings if isinstance(one, Unreadable) and names_account(one, account)
    ]
    answers = [in_pod(judged, mine, observed) for judged in mine]
    carried = parsed_plan(annotation(observed.pod)).digests
    known = {judged.name for judged in mine}
    answers += [undeclared(name, observed) for name in sorted(carried) if name not in known]
    if not mine:
        answers.append(unbound(account, world, observed, readable))
    return Explanation(account.namespace, observed.name, account.name, answers, tuple(_notes(observed, world)))


def _issuer(trusts: Sequence[FederationTrust]) -> Issuer | None:
    """As the controller last reported it; rules that need it wait without."""
    for trust in trusts:
        if url := (trust.raw_status.get("issuer") or {}).get("url"):
            return Issuer(str(url))
    return None


def _notes(observed: Observed, world: World) -> list[str]:
    notes = []
    phase = (observed.pod.get("status") or {}).get("phase")
    if phase in ("Succeeded", "Failed"):
        notes.append(f"the pod is over ({phase}); this is what it had")
    for what, why in observed.unread.items():
        follows = ""
        if what == TRUSTS:
            follows = (
                ": answers come from the bindings' status as the controller last wrote it; who is allowed but not "
                "bound, and what exactly a stale pod lacks, cannot be said"
            )
        notes.append(f"{what} could not be read ({why}){follows}")
    bound = {one.trust.trust.audience for one in world.bindings if one.trust is not None}
    own = {names.token_volume(one.binding.name) for one in world.bindings}
    foreign = {
        volume.get("name"): audience
        for volume in volumes(observed.pod)
        if volume.get("name") not in own and not names.is_our_volume(str(volume.get("name")))
        for audience in projected_audiences({"volumes": [volume]})
    }
    notes += [
        f"volume {name} projects a token for {audience} that Apostille did not add"
        + (", an audience of one of its bindings" if audience in bound else "")
        for name, audience in sorted(foreign.items(), key=str)
    ]
    return notes
