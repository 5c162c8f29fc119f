"""The pods: a Job a mode, and one pod that lives; what each has from its author, before anybody injects."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from apostille_testbed.node import sdks
from node.every_mode.rows import JOBS, LIVES, LONG, ROWS, Long, Row
from node.scene import RESTRICTED

_PROGRAMS = Path(__file__).with_name("programs")
_AUTHORITIES = "/authorities/ca.pem"
_TRUSTING = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"), _AUTHORITIES)

HostAliases = list[dict[str, Any]]


def config_maps(namespace: str, authorities: str) -> list[dict[str, Any]]:
    """The authorities that programs trust, and the programs."""
    programs = {path.name: path.read_text() for path in _PROGRAMS.glob("*.py")}
    return [
        _config_map(namespace, "authorities", {"ca.pem": authorities}),
        _config_map(namespace, "programs", programs),
    ]


def lives(hosts: HostAliases) -> dict[str, Any]:
    """The pod that lives."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": _metadata(LIVES, LIVES), "spec": _spec(LIVES, LONG, hosts)}


def job(mode: str, hosts: HostAliases) -> dict[str, Any]:
    """The Job of a mode, which is tried once."""
    template = {"spec": _spec(mode.lower(), [row for row in ROWS if row.mode == mode], hosts)}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": _metadata(mode.lower(), JOBS),
        "spec": {"backoffLimit": 0, "template": template},
    }  # fmt: skip


def _metadata(name: str, namespace: str) -> dict[str, Any]:
    return {"name": name, "namespace": namespace}


def _config_map(namespace: str, name: str, data: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(name, namespace), "data": data}


def _spec(account: str, rows: Iterable[Row | Long], hosts: HostAliases) -> dict[str, Any]:
    return {
        "restartPolicy": "Never",
        "serviceAccountName": account,
        "terminationGracePeriodSeconds": 1,
        "hostAliases": hosts,
        "volumes": [
            {"name": "authorities", "configMap": {"name": "authorities"}},
            {"name": "programs", "configMap": {"name": "programs"}},
            {"name": "tmp", "emptyDir": {}},
        ],
        "containers": [_container(row) for row in rows],
    }


def _container(row: Row | Long) -> dict[str, Any]:
    return {
        "name": row.name,
        "image": sdks.SDKS,
        "imagePullPolicy": "Never",
        "command": ["python3", "-m", "programs.run", *row.arguments],
        "env": [{"name": name, "value": value} for name, value in (_TRUSTING | row.environment).items()],
        "volumeMounts": [
            {"name": "authorities", "mountPath": "/authorities"},
            {"name": "authorities", "mountPath": sdks.CERTIFI, "subPath": "ca.pem"},
            {"name": "programs", "mountPath": "/programs"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
        "workingDir": "/",
        "securityContext": RESTRICTED,
    }
