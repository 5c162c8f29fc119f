"""Pods as they were found in a cluster, one for each answer of `explain`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import jsonpatch

import builders
from apostille.core.explain.answer import TRUSTS, Observed
from apostille.core.inject import inject
from apostille.core.pod_plan import PodPlan
from apostille.core.settings import InjectionSettings
from apostille.kinds import decode
from apostille.kinds.decode import Unreadable

Json = dict[str, Any]
BOUND, LATER = "2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z"
BEFORE = "2026-11-20T08:00:00Z"


def running(pod: Mapping[str, Any], *plans: PodPlan, since: str = LATER, **status: Any) -> Json:
    """A pod of the Deployment web, injected with these plans."""
    made = inject(pod, plans, InjectionSettings())
    assert not made.denial
    found: Json = jsonpatch.apply_patch(deepcopy(dict(pod)), [dict(operation) for operation in made.operations])
    found["metadata"] |= {
        "name": "web-6d5f7c9b8-x2x7k",
        "creationTimestamp": since,
        "labels": {**(found["metadata"].get("labels") or {}), "pod-template-hash": "6d5f7c9b8"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "web-6d5f7c9b8", "controller": True}],
    }
    found["status"] = {"phase": "Running", **status}
    return found


def status(ready: tuple[str, str, str], *, accepted: bool = True, enforced: str = "True", **more: Any) -> Json:
    """What the controller wrote on a binding of generation 1."""
    kinds = {"Accepted": str(accepted), "Enforced": enforced}
    conditions = [
        {"type": kind, "status": value, "reason": ready[1], "message": ready[2]} for kind, value in kinds.items()
    ]
    conditions.append({"type": "Ready", "status": ready[0], "reason": ready[1], "message": ready[2]})
    return {"observedGeneration": 1, "conditions": conditions, **more}


def observed(pod: Json, bindings: Sequence[Json] = (), trusts: Sequence[Json] | None = (), **more: Any) -> Observed:
    """With ``trusts`` None they are forbidden."""
    return Observed(
        pod=pod,
        bindings=[decode.workload_binding(raw) for raw in bindings],
        trusts=[decode.federation_trust(raw) for raw in trusts or ()],
        created={raw["metadata"]["name"]: BOUND for raw in bindings},
        unread={TRUSTS: "forbidden"} if trusts is None else {},
        **more,
    )


def log(*lines: Mapping[str, Any]) -> str:
    """Of the sidecar."""
    fixed = {"time": "2026-11-24T11:59:00.000Z", "level": "warning", "logger": "apostille.exchange"}
    return "".join(json.dumps({**fixed, **line}) + "\n" for line in lines)


TRUST = builders.raw_trust()
BINDING = builders.raw_binding()
SIDECAR = builders.raw_binding("s3-files", delivery={"mode": "Sidecar"})
PLAN = builders.plan()
SIDECAR_PLAN = builders.plan(builders.sidecar())
STARTED = {"initContainerStatuses": [{"name": "apostille-exchange", "started": True}]}
NOT_STARTED = {"initContainerStatuses": [{"name": "apostille-exchange", "started": False}]}
READY = ("True", "Ready", "as declared")
UNREACHABLE = {
    "message": "exchange failed", "binding": "s3-files", "grant": "AWSWebIdentity", "result": "Failed",
    "reason": "Unreachable", "detail": "connect: timed out", "retrySeconds": 4.2,
}  # fmt: skip
DENIED = {
    "message": "exchange failed", "binding": "s3-files", "grant": "AWSWebIdentity", "result": "Refused",
    "reason": "ConditionRejected", "code": "AccessDenied", "status": 403, "retrySeconds": 60.0,
}  # fmt: skip
FRESH: Json = {
    "message": "exchanged", "binding": "s3-files", "grant": "AWSWebIdentity", "result": "Exchanged", "state": "fresh",
    "expires": "2026-11-24T13:00:00Z",
}  # fmt: skip
OVERDUE: Json = {
    "message": "state", "binding": "s3-files", "state": "overdue", "expires": "2026-11-24T13:00:00Z",
}  # fmt: skip
FAILED_MOUNT = {
    "reason": "FailedMount",
    "lastTimestamp": "2026-11-24T11:59:00Z",
    "message": 'MountVolume.SetUp failed for volume "apostille-token-s3-reader" : spec.audiences: no live '
    "WorkloadBinding grants service account reader of namespace payments tokens for audience "
    "https://aws-prod.sts.example [APO501]",
}


def _with(raw: Json, **members: Any) -> Json:
    return {**raw, **members}


def _two_containers() -> Json:
    return builders.pod({"name": "app", "image": "app:1"}, {"name": "worker", "image": "worker:1"})


ONLY_APP = builders.raw_binding(delivery={"containers": {"include": ["app"]}})

CASES: Mapping[str, Observed] = {
    "not-bound": observed(running(builders.pod(serviceAccountName="stranger")), [], [TRUST]),
    "allowed": observed(running(builders.pod()), [], [TRUST]),
    "bound-before": observed(running(builders.pod(), since=BEFORE), [BINDING], [TRUST]),
    "bound-after": observed(running(builders.pod(), PLAN), [_with(BINDING, status=status(READY))], [TRUST]),
    "not-injected": observed(running(builders.pod()), [BINDING], [TRUST]),
    "stale": observed(
        running(builders.pod(), builders.plan(by=builders.trust(audience="https://older.sts.example"))),
        [BINDING],
        [TRUST],
    ),
    "skipped-container": observed(
        running(_two_containers(), builders.plan(builders.binding(delivery={"containers": {"include": ["app"]}}))),
        [ONLY_APP],
        [TRUST],
    ),
    "suspended": observed(running(builders.pod(), PLAN), [builders.raw_binding(suspended=True)], [TRUST]),
    "trust-suspended": observed(running(builders.pod(), PLAN), [BINDING], [builders.raw_trust(suspended=True)]),
    "expired": observed(
        running(builders.pod(), PLAN),
        [builders.raw_binding(validity={"notAfter": "2026-11-24T11:30:00Z"})],
        [TRUST],
    ),
    "not-yet": observed(
        running(builders.pod()), [builders.raw_binding(validity={"notBefore": "2026-12-01T00:00:00Z"})], [TRUST]
    ),
    "trust-missing": observed(
        running(builders.pod()), [builders.raw_binding(trustRef={"name": "aws-prd"})], [TRUST]
    ),
    "wrong-service-account": observed(running(builders.pod(serviceAccountName="default")), [BINDING], [TRUST]),
    "wrong-aws-account": observed(
        running(builders.pod()),
        [builders.raw_binding(target={"aws": {"roleARN": builders.role("payments-reader", "999999999999")}})],
        [TRUST],
    ),
    "party-unreachable": observed(
        running(builders.pod(), SIDECAR_PLAN, phase="Pending", **NOT_STARTED),
        [SIDECAR],
        [TRUST],
        exchange_log=log(UNREACHABLE),
    ),
    "party-refuses": observed(
        running(builders.pod(), SIDECAR_PLAN, **STARTED),
        [SIDECAR],
        [TRUST],
        exchange_log="not of ours\n" + log(FRESH, DENIED | {"state": "fresh"}),
    ),
    "party-reached-again": observed(
        running(builders.pod(), SIDECAR_PLAN, **STARTED),
        [SIDECAR],
        [TRUST],
        exchange_log=log(UNREACHABLE | {"state": "failed"}, FRESH, OVERDUE),
    ),
    "credential-ended": observed(
        running(builders.pod(), SIDECAR_PLAN, **STARTED),
        [SIDECAR],
        [TRUST],
        exchange_log=log(FRESH, OVERDUE, {"message": "state", "binding": "s3-files", "state": "expired"}),
    ),
    "starting": observed(running(builders.pod(), SIDECAR_PLAN, **NOT_STARTED), [SIDECAR], [TRUST]),
    "token-refused": observed(running(builders.pod(), PLAN), [BINDING], [TRUST], events=[FAILED_MOUNT]),
    "env-of-the-pod": observed(
        running(
            builders.pod({"name": "app", "image": "app:1", "env": [{"name": "AWS_ACCESS_KEY_ID", "value": "AKIA"}]}),
            PLAN,
        ),
        [BINDING],
        [TRUST],
    ),
    "no-longer-declared": observed(running(builders.pod(), PLAN), [], [TRUST]),
    "windows": observed(running(builders.pod(os={"name": "windows"})), [BINDING], [TRUST]),
    "trusts-forbidden-works": observed(
        running(builders.pod(), PLAN),
        [
            _with(
                BINDING,
                status=status(
                    READY, phase="Live", audience=builders.AUDIENCE, target="role/payments-reader",
                    pods={"matched": 3, "injected": 3, "stale": 0, "missing": 0}, nextChange="2027-01-15T00:00:00Z",
                ),
            )
        ],
        None,
    ),
    "trusts-forbidden-perhaps-stale": observed(
        running(builders.pod(), PLAN),
        [
            _with(
                BINDING,
                status=status(
                    ("True", "PodsMissing", "restart"), phase="Live", target="role/payments-reader",
                    pods={"matched": 3, "injected": 2, "stale": 1, "missing": 0},
                ),
            )
        ],
        None,
    ),
    "trusts-forbidden-stale": observed(
        running(builders.pod(), PLAN),
        [
            _with(
                BINDING,
                status=status(
                    ("True", "PodsMissing", "restart"), phase="Live",
                    pods={"matched": 3, "injected": 0, "stale": 3, "missing": 0},
                ),
            )
        ],
        None,
    ),
    "trusts-forbidden-not-found": observed(
        running(builders.pod()),
        [_with(BINDING, status=status(("False", "TrustNotFound", "spec.trustRef: there is none"), accepted=False))],
        None,
    ),
    "trusts-forbidden-suspended": observed(
        running(builders.pod(), PLAN),
        [
            _with(
                BINDING,
                status=status(
                    ("False", "Suspended", "FederationTrust aws-prod is suspended (spec.suspended)"), phase="Ended"
                ),
            )
        ],
        None,
    ),
    "trusts-forbidden-sidecar": observed(
        running(builders.pod(), SIDECAR_PLAN, **STARTED),
        [
            _with(
                SIDECAR,
                status=status(READY, phase="Live", pods={"matched": 1, "injected": 1, "stale": 0, "missing": 0}),
            )
        ],
        None,
        exchange_log=log(UNREACHABLE),
    ),
    "trusts-forbidden-not-judged": observed(running(builders.pod()), [BINDING], None),
    "trusts-forbidden-not-bound": observed(running(builders.pod()), [], None),
    "unreadable-binding": Observed(
        pod=running(builders.pod()),
        bindings=[Unreadable("WorkloadBinding", BINDING, "spec.token.expirationSeconds: Expected `int`, got `str`")],
    ),
}  # fmt: skip
