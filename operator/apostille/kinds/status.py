"""What the controller reports on the two kinds."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from apostille.kinds.fields import Time, doc


class ConditionStatus(Struct, omit_defaults=True, rename="camel"):
    """A metav1.Condition."""

    type: Annotated[str, doc("type of the condition.", max_length=316)]
    status: Annotated[str, doc("status is True, False or Unknown.", max_length=7)]
    reason: Annotated[str, doc("reason is one word of a documented set.", max_length=1024)]
    message: Annotated[str, doc("message is for people.", max_length=32768)]
    last_transition_time: Annotated[Time, doc("lastTransitionTime is when status last changed.")]
    observed_generation: Annotated[int, doc("observedGeneration of the spec that was judged.")] = 0


Conditions = Annotated[
    list[ConditionStatus],
    doc("conditions say whether it works, and if not, why.", max_length=16),
    Meta(extra_json_schema={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
]
Observed = Annotated[int, doc("observedGeneration is the generation that this status speaks of.")]


class IssuerStatus(Struct, omit_defaults=True, rename="camel"):
    """The cluster as an issuer."""

    url: Annotated[
        str, doc("url is the issuer, byte for byte as in discovery document and tokens.", max_length=512)
    ] = ""
    key_ids: Annotated[
        list[Annotated[str, Meta(max_length=256)]],
        doc("keyIDs are the ids of the keys that are published now.", max_length=32),
        Meta(extra_json_schema={"x-kubernetes-list-type": "atomic"}),
    ] = msgspec.field(default_factory=list, name="keyIDs")


class AccessStatus(Struct, omit_defaults=True, rename="camel"):
    """What the relying party must hold."""

    digest: Annotated[str, doc("digest of the rendered documents.", max_length=80)] = ""
    config_map: Annotated[str, doc("configMap in Apostille's namespace that holds them.", max_length=253)] = ""


class LimitStatus(Struct, omit_defaults=True, rename="camel"):
    """A bound of the relying party and what the live bindings use of it."""

    name: Annotated[str, doc("name says what is counted.", max_length=128)]
    of: Annotated[str, doc("of is whose it is, such as a role.", max_length=2048)]
    used: Annotated[int, doc("used by all live bindings of this trust.")]
    limit: Annotated[int, doc("limit of the relying party.")]
    binding: Annotated[str, doc("binding is the one, as NAMESPACE/NAME, that goes over the limit.", max_length=317)] = (
        ""
    )


class BindingCounts(Struct, omit_defaults=False, rename="camel"):
    """Bindings of a trust."""

    total: Annotated[int, doc("total number of bindings that name this trust.")] = 0
    live: Annotated[int, doc("live is how many are accepted and in force.")] = 0


class ForeignUsers(Struct, omit_defaults=False, rename="camel"):
    """Undeclared users of the audience in one namespace."""

    namespace: Annotated[str, doc("namespace of the pods and service accounts.", max_length=63)]
    pods: Annotated[
        int,
        doc(
            "pods that project a token for this audience, or mount a CSI volume whose driver has one requested, "
            "without a live binding."
        ),
    ] = 0
    token_requests: Annotated[
        int, doc("tokenRequests counts service accounts for which others than kubelets asked for such tokens lately.")
    ] = 0


class FederationTrustStatus(Struct, omit_defaults=True, rename="camel"):
    """What was found; written by the controller."""

    observed_generation: Observed = 0
    conditions: Conditions = []
    issuer: Annotated[IssuerStatus | None, doc("issuer is this cluster as an OIDC issuer.")] = None
    audience: Annotated[str, doc("audience in force.", max_length=255)] = ""
    access: Annotated[AccessStatus | None, doc("access is what the relying party must hold.")] = None
    limits: Annotated[
        list[LimitStatus],
        doc("limits are bounds of the relying party, the fullest first.", max_length=32),
        Meta(extra_json_schema={"x-kubernetes-list-type": "atomic"}),
    ] = []
    bindings: Annotated[BindingCounts | None, doc("bindings of this trust.")] = None
    foreign_users: Annotated[
        list[ForeignUsers],
        doc("foreignUsers use the audience without a live binding.", max_length=256),
        Meta(extra_json_schema={"x-kubernetes-list-type": "atomic"}),
    ] = []
    next_change: Annotated[Time | None, doc("nextChange is when time alone will change something.")] = None


class PodCounts(Struct, omit_defaults=False, rename="camel"):
    """Pods of the bound service accounts."""

    matched: Annotated[int, doc("matched pods run as a bound service account.")] = 0
    injected: Annotated[int, doc("injected pods carry the current plan.")] = 0
    stale: Annotated[int, doc("stale pods carry an older plan; restart them to take over the current one.")] = 0
    missing: Annotated[
        int, doc("missing pods were never injected, for instance because they are older than the binding.")
    ] = 0


class RepairStatus(Struct, omit_defaults=False, rename="camel"):
    """Where the binding asks for repair: how far it is."""

    waiting: Annotated[int, doc("waiting pods are still to be made anew.")] = 0
    left: Annotated[
        int, doc("left are pods without the current plan that are not made anew, for what message says.")
    ] = 0
    message: Annotated[str, doc("message says what is waited for and what is left, and why.", max_length=1024)] = ""


class WorkloadBindingStatus(Struct, omit_defaults=True, rename="camel"):
    """What was found; written by the controller."""

    observed_generation: Observed = 0
    conditions: Conditions = []
    phase: Annotated[
        str, doc("phase is NotYet, Live or Ended; absent while the binding is refused.", max_length=16)
    ] = ""
    next_change: Annotated[Time | None, doc("nextChange is when time alone will change something.")] = None
    subjects: Annotated[
        list[Annotated[str, Meta(max_length=512)]],
        doc("subjects are the exact `sub` claims of the assertions.", max_length=64),
        Meta(extra_json_schema={"x-kubernetes-list-type": "atomic"}),
    ] = []
    audience: Annotated[str, doc("audience of the assertions.", max_length=255)] = ""
    target: Annotated[str, doc("target in short, as printed by kubectl.", max_length=2048)] = ""
    pods: Annotated[PodCounts | None, doc("pods counts pods of the bound service accounts.")] = None
    repair: Annotated[
        RepairStatus | None, doc("repair says how far spec.repair is, while there is anything to do.")
    ] = None


Status = FederationTrustStatus | WorkloadBindingStatus


def to_json(status: Status) -> dict[str, Any]:
    """The status as it is applied."""
    document: dict[str, Any] = msgspec.to_builtins(status, str_keys=True)
    return document
