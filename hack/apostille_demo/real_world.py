"""What the story on a real node plays in: a cluster with a kubelet, images in it, Vault and MinIO.

Installing Apostille is part of the story; here is only what its user has before.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from apostille_demo import logs
from apostille_demo.platform_team import PlatformTeam
from apostille_testbed import binaries, instances, pinned
from apostille_testbed.chart import Release
from apostille_testbed.node import derived, images, lane, self_hosted
from apostille_testbed.parties import programs
from apostille_testbed.progress import Say

BUCKET = "ledger"
OBJECTS = {"2026/10.csv": b"date,amount\n" * 900, "2026/11.csv": b"date,amount\n" * 2400}
SECRET = {"username": "teller", "password": "correct horse battery staple"}
POLICY = 'path "secret/data/payments" { capabilities = ["read"] }'


def prepare(say: Say) -> None:
    """Builds what is missing, in sight. Raises NodeUnavailable, BuildError."""
    lane.prepare(say)
    binaries.helm()
    for name in ("vault", "minio"):
        programs.program(name, say)
    images.images(say)
    derived.application(say)


@contextlib.contextmanager
def world(instance: instances.Instance, say: Say) -> Iterator[dict[str, Any]]:
    """Runs everything in ``instance``; yields what others may know of it: addresses and file names, no secrets.

    Raises:
        ProcessError, KubectlError, APIError, OSError: a part did not start.
    """
    with contextlib.ExitStack() as stack:
        say(f"a node: Kubernetes {pinned.KUBERNETES} with kubelet, kube-proxy, containerd and runc")
        node = stack.enter_context(lane.launch(instance, say=say))
        stack.push(lambda kind, *_: _keep_logs(instance, kind))
        say("images of Apostille and of an application, without a registry")
        Release(node, say=say).load()
        node.load(derived.application(say))
        say("Vault and MinIO: the real ones, which read the cluster's keys from a published copy")
        servers = stack.enter_context(self_hosted.self_hosted(node, say))
        servers.minio.create_bucket(BUCKET, OBJECTS)
        servers.vault.write_secret("payments", SECRET)
        servers.vault.write_policy("payments", POLICY)
        stack.enter_context(PlatformTeam(servers, instance.directory / logs.LOGS["pipeline"]))
        yield {
            **node.describe(),
            "authorities": {"minio": str(servers.minio.ca), "vault": str(servers.vault.ca)},
        }


def with_authorities(documents: str, authorities: dict[str, str]) -> str:
    """YAML of trusts with the PEM files of ``authorities`` (member of relyingParty to path) as their ``caBundle``."""
    filled = list(yaml.safe_load_all(documents))
    for trust in filled:
        for member, settings in trust["spec"]["relyingParty"].items():
            if member in authorities:
                settings["caBundle"] = Path(authorities[member]).read_text()
    text: str = yaml.safe_dump_all(filled, sort_keys=False)
    return text


def _keep_logs(instance: instances.Instance, kind: type[BaseException] | None) -> None:
    if kind is not None and issubclass(kind, Exception):
        logs.keep(instance.id, instance.directory)
