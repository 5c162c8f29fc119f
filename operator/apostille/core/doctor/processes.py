"""The API server and Apostille's processes."""

from __future__ import annotations

import re
from datetime import datetime

from apostille.core.doctor.check import Check, Level, Observed

OLDEST, NEWEST = (1, 31), (1, 37)
# Relying parties allow a minute or so between an assertion's times and their own clock.
CLOCK_SECONDS = 30
# A leader renews every two seconds; a standby takes over after fifteen.
LEASE_SECONDS = 20


def server_check(observed: Observed) -> Check:
    """Its version."""
    match = re.match(r"v?(\d+)\.(\d+)", observed.version)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    said = f"Kubernetes {observed.version.removeprefix('v')}"
    if version < OLDEST:
        return Check("api server", Level.FAIL, f"{said} is too old", "use Kubernetes 1.31 or later")
    if version > NEWEST:
        return Check("api server", Level.WARN, f"{said} is newer than what this version was tested with", "upgrade")
    return Check("api server", Level.OK, said)


def kinds_check(observed: Observed) -> Check:
    """The CustomResourceDefinitions."""
    if observed.kinds_served:
        return Check("kinds", Level.OK, "FederationTrust and WorkloadBinding are served")
    return Check(
        "kinds", Level.FAIL, "the two kinds are not served",
        "kubectl apply --server-side -f crds/   (of the chart that is installed)",
    )  # fmt: skip


def installation_check(observed: Observed) -> Check:
    """The anchor, which owns what is generated."""
    if observed.anchor is None:
        return Check(
            "installation", Level.FAIL,
            "ClusterRole apostille-anchor is missing: without it the controller writes nothing",
            f"helm upgrade --install apostille charts/apostille -n {observed.own_namespace}",
        )  # fmt: skip
    if (observed.anchor.get("metadata") or {}).get("deletionTimestamp"):
        return Check(
            "installation", Level.FAIL, "Apostille is being uninstalled", "wait, then install it again if it is needed"
        )
    return Check("installation", Level.OK, "ClusterRole apostille-anchor is there")


def replicas_check(observed: Observed) -> Check:
    """The Deployments."""
    if not observed.deployments:
        return Check(
            "replicas", Level.WARN, f"no Deployment of Apostille in namespace {observed.own_namespace}",
            "name its namespace with --namespace, unless the processes run elsewhere",
        )  # fmt: skip
    lacking: list[tuple[str, str]] = []
    fine: list[tuple[str, str]] = []
    for one in observed.deployments:
        name = one["metadata"]["name"]
        want = (one.get("spec") or {}).get("replicas", 1)
        have = (one.get("status") or {}).get("readyReplicas") or 0
        (fine if have >= want else lacking).append((name, f"{name} {have} of {want}"))
    if lacking:
        return Check(
            "replicas", Level.FAIL, f"not ready: {', '.join(said for _, said in lacking)}",
            f"kubectl describe deployment {lacking[0][0]} -n {observed.own_namespace}",
        )  # fmt: skip
    return Check("replicas", Level.OK, f"ready: {', '.join(said for _, said in fine)}")


def controller_check(observed: Observed) -> Check:
    """Whether one leads."""
    spec = (observed.lease or {}).get("spec") or {}
    holder, renewed = spec.get("holderIdentity") or "", spec.get("renewTime")
    logs = f"kubectl logs -n {observed.own_namespace} deployment/apostille-controller"
    if not holder or not renewed:
        return Check("controller", Level.FAIL, "no controller leads: nothing that changes is followed", logs)
    # By the API server's clock where it was told, since this machine's may be wrong.
    reference = observed.server_time or observed.asked_at
    if reference is None:
        return Check("controller", Level.UNKNOWN, f"{holder} leads; whether still was not found out", logs)
    age = (reference - datetime.fromisoformat(str(renewed))).total_seconds()
    if age > LEASE_SECONDS:
        return Check("controller", Level.FAIL, f"{holder} led, but has not renewed its lease for {age:.0f} s", logs)
    if age < -CLOCK_SECONDS:
        return Check(
            "controller", Level.FAIL, f"the clock of {holder} is {-age:.0f} s ahead of the API server's",
            "set the clocks of the nodes (NTP)",
        )  # fmt: skip
    return Check("controller", Level.OK, f"{holder} leads")


def clock_check(observed: Observed) -> Check:
    """This machine's against the API server's."""
    if observed.server_time is None or observed.asked_at is None:
        return Check("clock", Level.UNKNOWN, "the API server's clock was not read", "ask somebody with these rights")
    skew = (observed.asked_at - observed.server_time).total_seconds()
    if abs(skew) > CLOCK_SECONDS:
        where = "ahead of" if skew > 0 else "behind"
        return Check(
            "clock", Level.WARN, f"this machine is {abs(skew):.0f} s {where} the API server: one of the two is wrong, "
            "and relying parties refuse tokens of another time", "set the clocks (NTP)",
        )  # fmt: skip
    return Check("clock", Level.OK, "this machine and the API server agree")
