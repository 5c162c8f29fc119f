"""Pods as they are met in clusters: shapes of well-known projects, each under several security contexts.

``SHAPES`` says where a shape comes from; a name in square brackets tells the security context it is combined with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Any, NamedTuple

Json = dict[str, Any]


class Shape(NamedTuple):
    """A pod's spec, and whose shape it is."""

    source: str
    spec: Json


def _c(name: str = "app", **more: Any) -> Json:
    return {"name": name, "image": f"registry.example/{name}:1", **more}


def _mount(name: str, path: str, **more: Any) -> Json:
    return {"name": name, "mountPath": path, **more}


def _pod(*containers: Json, init: tuple[Json, ...] = (), volumes: tuple[Json, ...] = (), **more: Any) -> Json:
    made: Json = {"containers": list(containers or (_c(),)), **more}
    if init:
        made["initContainers"] = list(init)
    if volumes:
        made["volumes"] = list(volumes)
    return made


def _empty(name: str, **more: Any) -> Json:
    return {"name": name, "emptyDir": more}


_HTTP = {"ports": [{"name": "http", "containerPort": 8080}]}
_PROBES = {
    "livenessProbe": {"httpGet": {"path": "/livez", "port": 8080}},
    "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 3},
}
_IRSA = {
    "name": "aws-iam-token",
    "projected": {"sources": [{"serviceAccountToken": {"audience": "sts.amazonaws.com", "path": "token"}}]},
}
_SECRET = {"name": "config", "secret": {"secretName": "app", "optional": True}}

SHAPES: Mapping[str, Shape] = {
    "plain": Shape("Kubernetes docs, Pods", _pod()),
    "web": Shape("Kubernetes docs, Deployments: ports and probes", _pod(_c(**_HTTP, **_PROBES))),
    "job": Shape("Kubernetes docs, Jobs", _pod(_c("pi", command=["perl", "-Mbignum=bpi"]), restartPolicy="Never")),
    "cronjob": Shape(
        "Kubernetes docs, CronJob",
        _pod(_c("hello"), restartPolicy="OnFailure", activeDeadlineSeconds=60),
    ),
    "job-with-sidecar": Shape(
        "KEP-753, a Job with a restartable init container",
        _pod(init=(_c("logshipper", restartPolicy="Always"),), restartPolicy="Never", volumes=(_empty("logs"),)),
    ),
    "statefulset": Shape(
        "Kubernetes docs, StatefulSet: a claim, a stable name",
        _pod(
            _c("postgres", volumeMounts=[_mount("data", "/var/lib/postgresql")]), hostname="db-0", subdomain="db",
            volumes=({"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}},),
        ),
    ),
    "istio": Shape(
        "Istio 1.24, native sidecar with its redirect",
        _pod(init=(_c("istio-validation"), _c("istio-proxy", restartPolicy="Always")),
             volumes=(_empty("istio-envoy"),)),
    ),
    "istio-classic": Shape("Istio, sidecar as a container", _pod(_c(), _c("istio-proxy"), init=(_c("istio-init"),))),
    "linkerd": Shape("Linkerd 2, proxy injector", _pod(_c("linkerd-proxy"), _c(), init=(_c("linkerd-init"),))),
    "tekton": Shape(
        "Tekton TaskRun: prepare, steps in order, shared workspace",
        _pod(
            _c("step-clone"), _c("step-build"), init=(_c("prepare"), _c("place-scripts")), restartPolicy="Never",
            volumes=(_empty("tekton-internal-bin"), _empty("tekton-internal-run-0")),
        ),
    ),
    "argo": Shape(
        "Argo Workflows: init, wait, main",
        _pod(_c("wait"), _c("main"), init=(_c("init"),), restartPolicy="Never"),
    ),
    "airflow": Shape(
        "Airflow KubernetesExecutor",
        _pod(_c("base", env=[{"name": "AIRFLOW_IS_K8S_EXECUTOR_POD", "value": "True"}]), restartPolicy="Never"),
    ),
    "spark": Shape(
        "Spark on Kubernetes, driver",
        _pod(_c("spark-kubernetes-driver", volumeMounts=[_mount("spark-local-dir-1", "/var/data/spark-1")]),
             volumes=(_empty("spark-local-dir-1"),), restartPolicy="Never"),
    ),
    "jenkins": Shape("Jenkins Kubernetes plugin, agent pod", _pod(_c("jnlp"), _c("maven", command=["cat"], tty=True))),
    "runner": Shape("GitHub Actions runner controller, runner pod", _pod(_c("runner", workingDir="/home/runner"))),
    "gitlab": Shape("GitLab Runner: helper and build", _pod(_c("build"), _c("helper"), init=(_c("init-permissions"),))),
    "knative": Shape(
        "Knative Serving: user container and queue proxy",
        _pod(_c("user-container", **_HTTP), _c("queue-proxy")),
    ),
    "dapr": Shape("Dapr injector", _pod(_c(), _c("daprd", args=["/daprd"]))),
    "vault-agent": Shape(
        "Vault agent injector",
        _pod(_c(volumeMounts=[_mount("vault-secrets", "/vault/secrets")]), _c("vault-agent"),
             init=(_c("vault-agent-init"),), volumes=(_empty("vault-secrets", medium="Memory"),)),
    ),
    "irsa": Shape(
        "EKS pod identity webhook was there first",
        _pod(_c(volumeMounts=[_mount("aws-iam-token", "/var/run/secrets/eks.amazonaws.com/serviceaccount")]),
             volumes=(_IRSA,)),
    ),
    "azwi": Shape(
        "Azure workload identity webhook was there first",
        _pod(_c(env=[{"name": "AZURE_CLIENT_ID", "value": "x"}, {"name": "AZURE_TENANT_ID", "value": "y"}])),
    ),
    "prometheus": Shape(
        "kube-prometheus, Prometheus with config reloader",
        _pod(_c("prometheus", args=["--web.enable-lifecycle"]), _c("config-reloader"),
             init=(_c("init-config-reloader"),),
             volumes=(_SECRET,), terminationGracePeriodSeconds=600),
    ),
    "log-shipper": Shape(
        "Fluent Bit DaemonSet: host paths",
        _pod(_c("fluent-bit", volumeMounts=[_mount("varlog", "/var/log", readOnly=True)]),
             volumes=({"name": "varlog", "hostPath": {"path": "/var/log"}},), tolerations=[{"operator": "Exists"}]),
    ),
    "node-agent": Shape(
        "node exporter: host network and processes",
        _pod(_c("node-exporter", ports=[{"containerPort": 9100, "hostPort": 9100}]), hostNetwork=True, hostPID=True),
    ),
    "ingress": Shape(
        "ingress-nginx: binds low ports",
        _pod(_c("controller", ports=[{"containerPort": 80}, {"containerPort": 443}],
                securityContext={"capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}})),
    ),
    "gpu": Shape(
        "NVIDIA device plugin, training job",
        _pod(_c("train", resources={"limits": {"nvidia.com/gpu": "1"}})),
    ),
    "kaniko": Shape(
        "kaniko: builds images as root",
        _pod(_c("kaniko", securityContext={"runAsUser": 0}), restartPolicy="Never"),
    ),
    "read-only": Shape(
        "CIS benchmark 5.7: read-only root, a writable /tmp",
        _pod(_c(securityContext={"readOnlyRootFilesystem": True}, volumeMounts=[_mount("tmp", "/tmp")]),
             volumes=(_empty("tmp"),)),
    ),
    "no-api-token": Shape("CIS benchmark 5.1.6: no API token", _pod(automountServiceAccountToken=False)),
    "no-links": Shape("Kubernetes docs, service environment off", _pod(enableServiceLinks=False, dnsPolicy="Default")),
    "env-from": Shape(
        "Helm's starter chart with a ConfigMap", _pod(_c(envFrom=[{"configMapRef": {"name": "app", "optional": True}}]))
    ),
    "downward": Shape(
        "Kubernetes docs, downward API",
        _pod(_c(env=[{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}])),
    ),
}  # fmt: skip

_STRICT: Json = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
_POD: Json = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def _each(spec: Json, security: Json) -> None:
    for section in ("initContainers", "containers"):
        for container in spec.get(section, ()):
            container["securityContext"] = deepcopy(security) | container.get("securityContext", {})


def _restricted(spec: Json) -> None:
    spec["securityContext"] = deepcopy(_POD) | {"runAsUser": 1000}
    _each(spec, _STRICT)


def _restricted_by_container(spec: Json) -> None:
    _each(spec, _STRICT | _POD)


def _openshift(spec: Json) -> None:
    spec["securityContext"] = {"fsGroup": 1000680000, "seLinuxOptions": {"level": "s0:c26,c15"}} | deepcopy(_POD)
    _each(spec, _STRICT | {"runAsUser": 1000680000})


def _group(spec: Json) -> None:
    spec["securityContext"] = {"fsGroup": 2000, "runAsUser": 1001, "supplementalGroups": [3000]}


def _root(spec: Json) -> None:
    spec["securityContext"] = {"runAsUser": 0}


def _privileged(spec: Json) -> None:
    spec["containers"][0]["securityContext"] = {"privileged": True}


CONTEXTS: Mapping[str, Callable[[Json], None]] = {
    "as it is": lambda spec: None,
    "restricted": _restricted,
    "restricted by container": _restricted_by_container,
    "OpenShift restricted-v2": _openshift,
    "fsGroup": _group,
    "root": _root,
    "privileged": _privileged,
}


def corpus() -> Iterator[tuple[str, Json]]:
    """Every shape under every context, by a name that tells where it comes from."""
    for name, shape in SHAPES.items():
        for context, change in CONTEXTS.items():
            spec = deepcopy(shape.spec)
            change(spec)
            yield f"{name} [{context}] ({shape.source})", {"serviceAccountName": "reader", **spec}
