"""What the API server was told: webhook configurations and policies, and whether they are in force."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from apostille.core import grants, selection
from apostille.core.desired import desired
from apostille.core.doctor import certificates
from apostille.core.doctor.check import SHOWN, Check, Level, Object, Observed
from apostille.core.resolve import World
from apostille.model.conditions import find
from apostille.model.identity import ServiceAccount

EXPIRY = timedelta(days=14)
RESTRAINTS = ("apostille-restrain-controller", "apostille-restrain-prefixes")
# Where webhooks are called at a Service: which one, only this policy holds.
SERVICE_RESTRAINT = "apostille-restrain-webhooks"


def own_probes(observed: Observed) -> set[str]:
    """What a probe is answered where everything that is written is in force."""
    return selection.expected_warnings(observed.configurations)


def admission_check(observed: Observed) -> Check:
    """Whether the API server reaches the endpoint."""
    if not observed.configurations:
        return Check(
            "admission", Level.FAIL, "there is no webhook configuration of Apostille: nothing is injected or judged",
            f"kubectl logs -n {observed.own_namespace} deployment/apostille-controller",
        )  # fmt: skip
    if not own_probes(observed) & observed.heard:
        return Check(
            "admission", Level.FAIL, "the API server does not reach the admission endpoint: pods of bound service "
            "accounts are refused",
            f"kubectl get pods -n {observed.own_namespace}; see that no NetworkPolicy or firewall keeps the API server "
            "from port 10250",
        )  # fmt: skip
    return Check("admission", Level.OK, "the API server reaches the admission endpoint")


def certificates_check(observed: Observed, now: datetime) -> Check:
    """Until when the authority holds by which the API server knows the endpoint."""
    bundles: dict[str, list[str]] = {}
    for configuration in observed.configurations:
        for webhook in configuration.get("webhooks") or ():
            bundle = str((webhook.get("clientConfig") or {}).get("caBundle", ""))
            bundles.setdefault(bundle, []).append(str(configuration["metadata"]["name"]))
    if not bundles:
        return Check("certificates", Level.UNKNOWN, "no webhook configuration to look at", "see the line on admission")
    last: list[datetime] = []
    for bundle, users in bundles.items():
        try:
            last.append(max(certificates.ends(base64.b64decode(bundle).decode(errors="replace"))))
        except (ValueError, binascii.Error) as error:
            return Check(
                "certificates", Level.FAIL, f"caBundle of {users[0]}: {error}",
                "the controller repairs it; see its log, and the Secret or file that it reads it from",
            )  # fmt: skip
    end = min(last)
    said = f"the API server trusts Apostille's until {end:%Y-%m-%d}"
    if end <= now:
        return Check("certificates", Level.FAIL, f"ended on {end:%Y-%m-%d}: every call fails", "renew the certificate")
    if end - now < EXPIRY:
        return Check("certificates", Level.WARN, said, "renew the certificate before then")
    if len(bundles) > 1:
        return Check("certificates", Level.WARN, f"{said}; the configurations differ", "wait: a rotation is under way")
    return Check("certificates", Level.OK, said)


def selection_check(observed: Observed, world: World) -> Check:
    """Whether the API server asks about exactly the pods that are bound."""
    want = desired(world, {})
    refused = {one.binding.service_accounts for one in world.bindings if _refused(one.binding.raw_status)}
    bound = want.bound - {account for accounts in refused for account in accounts}
    found = [selection.selected(one) for one in observed.configurations]
    have = frozenset().union(*(bound for bound, _ in found))
    if missing := sorted(bound - have):
        return Check(
            "selection", Level.FAIL, f"{_accounts(missing)} bound, but new pods of theirs are not injected",
            f"kubectl logs -n {observed.own_namespace} deployment/apostille-controller",
        )  # fmt: skip
    if pending := own_probes(observed) - observed.heard:
        if not own_probes(observed) & observed.heard:
            return Check(
                "selection", Level.UNKNOWN, "not seen while admission is not reached", "see the line on admission"
            )
        return Check(
            "selection", Level.WARN, f"{len(pending)} webhook configuration{'s'[: len(pending) != 1]} not in force in "
            "this API server yet", "wait some seconds and look again",
        )  # fmt: skip
    if over := sorted(have - want.bound):
        return Check(
            "selection",
            Level.WARN,
            f"{_accounts(over)} selected but not bound any more",
            "wait some seconds and look again",
        )
    return Check("selection", Level.OK, f"current: {len(have)} bound service account{'s'[: len(have) != 1]}")


def _refused(status: Mapping[str, Any]) -> bool:
    # By what only the installation knows, such as the addresses that it allows.
    return find(status.get("conditions") or [], "Accepted").get("status") == "False"


def _accounts(accounts: Sequence[ServiceAccount]) -> str:
    shown = ", ".join(f"{one.namespace}/{one.name}" for one in accounts[:SHOWN])
    more = f" and {len(accounts) - SHOWN} more" if len(accounts) > SHOWN else ""
    return f"{shown}{more} {'is' if len(accounts) == 1 else 'are'}"


def policies_check(observed: Observed, world: World) -> Check:
    """Whether what is written is what refuses."""
    own = [one for one in observed.policies if _generated(one)]
    accepted = [one for one in world.trusts.values() if one.accepted]
    if not own:
        if accepted:
            return Check(
                "policies", Level.FAIL, "there are trusts but no policies: undeclared users of their audiences go "
                "unnoticed",
                f"kubectl logs -n {observed.own_namespace} deployment/apostille-controller",
            )  # fmt: skip
        return Check("policies", Level.OK, "none yet: there is no trust")
    want, heard = grants.expected_warnings(own), grants.warnings_of_policies(observed.heard)
    if missing := want - heard:
        return Check(
            "policies", Level.WARN, f"{len(missing)} of {len(want)} not in force in this API server as written",
            "wait some seconds and look again; if it lasts: kubectl get validatingadmissionpolicies -o yaml and see "
            "status.typeChecking",
        )  # fmt: skip
    enforced = sum(one.trust.spec.enforcement.mode == "Enforce" for one in accepted)
    return Check("policies", Level.OK, f"{len(want)} in force; {enforced} of {len(accepted)} trusts enforced")


def _generated(policy: Object) -> bool:
    return policy.get("kind") == "ValidatingAdmissionPolicy" and selection.generated(policy)


def restraints_check(observed: Observed) -> Check:
    """The static policies of the chart that bind Apostille itself."""
    there = {str(one["metadata"]["name"]) for one in observed.policies}
    by_service = any(
        "service" in (webhook.get("clientConfig") or {})
        for configuration in observed.configurations
        for webhook in configuration.get("webhooks") or ()
    )
    wanted = [*RESTRAINTS, *([SERVICE_RESTRAINT] if by_service else [])]
    if missing := [name for name in wanted if name not in there]:
        return Check(
            "restraints", Level.WARN, f"missing: {', '.join(missing)}; Apostille's own rights are wider without them",
            f"helm upgrade apostille charts/apostille -n {observed.own_namespace}",
        )  # fmt: skip
    return Check("restraints", Level.OK, "Apostille's own rights are narrowed by policy")
