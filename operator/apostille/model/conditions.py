"""metav1 conditions and the reasons they may carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

Status = Literal["True", "False", "Unknown"]


class Reason(StrEnum):
    """Every reason a condition can have. Users script against them: add, never rename."""

    # Accepted
    ACCEPTED = "Accepted"
    RULE_VIOLATED = "RuleViolated"
    INVALID = "Invalid"
    TRUST_NOT_FOUND = "TrustNotFound"
    TRUST_NOT_ACCEPTED = "TrustNotAccepted"
    # IssuerReady
    DISCOVERED = "Discovered"
    DISCOVERY_FAILED = "DiscoveryFailed"
    # Configured
    RENDERED = "Rendered"
    NOT_MANAGED = "NotManaged"
    RENDER_PENDING = "RenderPending"
    RENDER_FAILED = "RenderFailed"
    # Enforced
    AUDIT = "Audit"
    WARN = "Warn"
    ENFORCE = "Enforce"
    ACTIVATING = "Activating"
    FOREIGN_USERS = "ForeignUsers"
    # Observed
    TOKEN_REQUESTS_OBSERVED = "TokenRequestsObserved"  # noqa: S105 - a reason
    TOKEN_REQUESTS_NOT_OBSERVED = "TokenRequestsNotObserved"  # noqa: S105 - a reason
    # Ready
    SHARDS_EXHAUSTED = "ShardsExhausted"
    READY = "Ready"
    CUT_OFF_SHARED = "CutOffShared"
    NOT_YET = "NotYet"
    SUSPENDED = "Suspended"
    EXPIRED = "Expired"
    ADMISSION_UNREACHABLE = "AdmissionUnreachable"
    PODS_MISSING = "PodsMissing"
    # Reconciling, Stalled
    RECONCILING = "Reconciling"
    STABLE = "Stable"
    STALLED = "Stalled"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a reason means and what is to be done. ``at`` are the conditions that carry it, with their status."""

    at: tuple[tuple[str, Status], ...]
    meaning: str
    remedy: str


EXPLAINED: Mapping[Reason, Explanation] = {
    Reason.ACCEPTED: Explanation(
        (("Accepted", "True"),),
        "The object is valid, and everything in it is allowed.",
        "Nothing to do.",
    ),
    Reason.RULE_VIOLATED: Explanation(
        (("Accepted", "False"), ("Ready", "False")),
        "A rule refuses the object. It grants nothing; an audience that the trust has closed stays closed.",
        "Change the field that the message names; the rule's page says what would be right.",
    ),
    Reason.INVALID: Explanation(
        (("Accepted", "False"), ("Ready", "False")),
        "The object does not fit its schema, for instance because an older version stored it.",
        "Apply it again with the field that the message names corrected.",
    ),
    Reason.TRUST_NOT_FOUND: Explanation(
        (("Accepted", "False"), ("Ready", "False")),
        "There is no FederationTrust of the name in spec.trustRef.",
        "Ask the platform team for the trust, or correct the name; the binding begins once the trust is there.",
    ),
    Reason.TRUST_NOT_ACCEPTED: Explanation(
        (("Accepted", "False"), ("Ready", "False")),
        "The binding's FederationTrust is itself refused, or does not fit its schema.",
        "Show the message to the owner of the trust: it says what is wrong there.",
    ),
    Reason.DISCOVERED: Explanation(
        (("IssuerReady", "True"),),
        "The cluster's issuer and its keys were read from the API server.",
        "Nothing to do.",
    ),
    Reason.DISCOVERY_FAILED: Explanation(
        (("IssuerReady", "False"), ("Ready", "False")),
        "The cluster's issuer could not be read from the API server's discovery document, or is not the one in its "
        "tokens.",
        "See the message; the controller's identity needs the ClusterRole system:service-account-issuer-discovery.",
    ),
    Reason.RENDERED: Explanation(
        (("Configured", "True"),),
        "What the relying party must hold is in the ConfigMap that the message names.",
        "Set it up there, and again when status.access.digest changes.",
    ),
    Reason.NOT_MANAGED: Explanation(
        (("Configured", "True"),),
        "spec.configuration.mode is None: somebody else configures the relying party.",
        "Nothing to do.",
    ),
    Reason.RENDER_PENDING: Explanation(
        (("Configured", "False"), ("Ready", "False")),
        "What the relying party must hold is not worked out yet: the issuer, or the service accounts whose instances "
        "the trust pins, are still being read. The last good documents stay.",
        "Wait a few seconds. If it lasts, see the controller's log: the API server does not answer it.",
    ),
    Reason.RENDER_FAILED: Explanation(
        (("Configured", "False"), ("Ready", "False")),
        "What the relying party would have to hold cannot be written down, or the party would not take it. The last "
        "good documents stay.",
        "Change what the message names, such as the number of service accounts that are bound to one role.",
    ),
    Reason.AUDIT: Explanation(
        (("Enforced", "False"),),
        "Undeclared users of the audience are recorded in the audit log and served. Ending a binding does not stop the "
        "refresh of its tokens.",
        "Bind or remove the users in status.foreignUsers of the trust, then set spec.enforcement.mode to Enforce.",
    ),
    Reason.WARN: Explanation(
        (("Enforced", "False"),),
        "Undeclared users of the audience are warned and served. Ending a binding does not stop the refresh of its "
        "tokens.",
        "Bind or remove the users in status.foreignUsers of the trust, then set spec.enforcement.mode to Enforce.",
    ),
    Reason.ENFORCE: Explanation(
        (("Enforced", "True"),),
        "Only declared bindings get tokens for the audience. Ending a binding stops the refresh of its tokens.",
        "Nothing to do.",
    ),
    Reason.ACTIVATING: Explanation(
        (("Enforced", "False"), ("Ready", "False")),
        "The API server is being told: selection or grant are written and not in force yet.",
        "Wait a few seconds. If it lasts, see whether the controller runs.",
    ),
    Reason.FOREIGN_USERS: Explanation(
        (("Enforced", "False"), ("Ready", "False")),
        "Pods, or others that ask for tokens, use the audience without a binding, so their namespaces are spared: "
        "nothing is refused there, and ending a binding there does not stop the refresh of its tokens.",
        "Bind or remove the users in status.foreignUsers of the trust, or set spec.enforcement.force.",
    ),
    Reason.TOKEN_REQUESTS_OBSERVED: Explanation(
        (("Observed", "True"),),
        "Token requests for the audience that no kubelet makes are counted in status.foreignUsers for a week.",
        "Nothing to do.",
    ),
    Reason.TOKEN_REQUESTS_NOT_OBSERVED: Explanation(
        (("Observed", "False"),),
        "Pods that use the audience are known. Who asks the API server for tokens directly, such as External Secrets "
        "or a Vault agent, is not: Enforce would refuse them unannounced.",
        "Set spec.enforcement.observeTokenRequests for some days before setting spec.enforcement.mode to Enforce.",
    ),
    Reason.SHARDS_EXHAUSTED: Explanation(
        (("Enforced", "False"), ("Ready", "False")),
        "There are more bindings than fit into the objects that the controller may write. What is in force stays, and "
        "ends when it should; nothing is added.",
        "Raise the chart's value controller.shards, and spread a namespace with thousands of service accounts.",
    ),
    Reason.READY: Explanation(
        (("Ready", "True"),),
        "It works as declared.",
        "Nothing to do; a message that is not `as declared` is a warning of a rule.",
    ),
    Reason.CUT_OFF_SHARED: Explanation(
        (("Ready", "True"),),
        "It works, but another trust or binding needs tokens of the same service account for the same audience: ending "
        "one of them does not stop their refresh.",
        "Give each trust an audience of its own and each workload a service account of its own, or end them together.",
    ),
    Reason.NOT_YET: Explanation(
        (("Ready", "False"),),
        "The binding begins later (spec.validity.notBefore).",
        "Wait, or change the time.",
    ),
    Reason.SUSPENDED: Explanation(
        (("Ready", "False"),),
        "The binding or its trust is suspended (spec.suspended): nothing is granted.",
        "Set spec.suspended to false to go on.",
    ),
    Reason.EXPIRED: Explanation(
        (("Ready", "False"),),
        "The binding or its trust is over (spec.validity.notAfter, spec.governance.expiresAt): nothing is granted.",
        "Review whether it is still needed, then set a later time.",
    ),
    Reason.ADMISSION_UNREACHABLE: Explanation(
        (("Ready", "False"),),
        "The API server does not reach Apostille's admission endpoint, so no further pods are selected for it.",
        "See whether the admission pods run and whether a network policy keeps the API server from them.",
    ),
    Reason.PODS_MISSING: Explanation(
        (("Ready", "True"),),
        "It works for new pods, but pods are running that were never injected or carry an older plan.",
        "Restart them: kubectl rollout restart -n NAMESPACE deployment/NAME; or set spec.repair to Recreate.",
    ),
    Reason.RECONCILING: Explanation(
        (("Reconciling", "True"),),
        "It is not as declared yet, and will be without anybody doing anything, or once what is missing is there.",
        "Wait; the message says for what.",
    ),
    Reason.STABLE: Explanation(
        (("Reconciling", "False"), ("Stalled", "False")),
        "Nothing is under way, and nothing is stuck.",
        "Nothing to do.",
    ),
    Reason.STALLED: Explanation(
        (("Stalled", "True"),),
        "Nothing goes on before somebody changes the declaration.",
        "Change what the message names.",
    ),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition without its times, which belong to whoever writes it."""

    type: str
    status: Status
    reason: Reason
    message: str


def stamped(
    conditions: Sequence[Condition], previous: Sequence[Mapping[str, Any]], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """Conditions as they are written; ``lastTransitionTime`` moves only where the status changes (API conventions)."""
    before = {condition.get("type"): condition for condition in previous}
    written = []
    for condition in conditions:
        old = before.get(condition.type, {})
        same = old.get("status") == condition.status and old.get("lastTransitionTime")
        written.append(
            {
                "type": condition.type,
                "status": condition.status,
                "reason": str(condition.reason),
                "message": condition.message[:32768],
                "observedGeneration": generation,
                "lastTransitionTime": old["lastTransitionTime"] if same else now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )
    return written


def find(conditions: Sequence[Mapping[str, Any]], kind: str) -> Mapping[str, Any]:
    """A condition by type in a written status; empty where it is missing."""
    return next((condition for condition in conditions if condition.get("type") == kind), {})
