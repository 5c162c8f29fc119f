"""Raw pods: what explanations look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from apostille.core.explain.answer import Observed, Pod
from apostille.model import names

# Controllers whose pods `kubectl rollout restart` replaces.
_RESTARTED = {"deployment", "statefulset", "daemonset"}


def not_injectable(pod: Pod) -> str | None:
    """Why nothing is ever given to this pod; None for others."""
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    if "kubernetes.io/config.mirror" in (metadata.get("annotations") or {}):
        return "it mirrors a static pod of its node, which cannot hold tokens"
    if (spec.get("os") or {}).get("name") == "windows":
        return "it is a Windows pod, and Apostille does not inject those"
    return None


def restart(observed: Observed) -> str:
    """The command that makes a new pod of it."""
    namespace, name = observed.namespace, observed.name
    kind, _, of = observed.workload.partition("/")
    if kind in _RESTARTED:
        return f"kubectl rollout restart -n {namespace} {kind}/{of}"
    if kind == "job":
        return f"kubectl delete job {of} -n {namespace}, and create it again"
    if kind:
        return f"kubectl delete pod {name} -n {namespace}    # {kind}/{of} makes another"
    return f"kubectl delete pod {name} -n {namespace}, and create it again"


def exchange_status(pod: Pod) -> Mapping[str, Any] | None:
    """Of the sidecar, empty before the kubelet has told; None where the pod has none."""
    if names.OUR_CONTAINERS.isdisjoint(str(c.get("name")) for c in (pod.get("spec") or {}).get("initContainers") or ()):
        return None
    statuses = (pod.get("status") or {}).get("initContainerStatuses") or ()
    return next((dict(one) for one in statuses if one.get("name") in names.OUR_CONTAINERS), {})


def annotation(pod: Pod) -> str:
    """The plan that it carries."""
    return str(((pod.get("metadata") or {}).get("annotations") or {}).get(names.PLAN_ANNOTATION, ""))


def volumes(pod: Pod) -> Sequence[Mapping[str, Any]]:
    """Of its spec."""
    return (pod.get("spec") or {}).get("volumes") or ()


def containers(pod: Pod) -> list[Mapping[str, Any]]:
    """All of its spec but debug containers."""
    spec = pod.get("spec") or {}
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
