"""What the story plays in: a control plane, Apostille on it, AWS, and a node that runs pods."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from apostille_demo import logs
from apostille_demo.logs import LOGS
from apostille_demo.node import node
from apostille_demo.pipeline import Pipeline
from apostille_testbed import Installation, instances, pinned
from apostille_testbed.control_plane import launch
from apostille_testbed.parties.aws import AWSParty
from apostille_testbed.progress import Say

BUCKET = "invoices"
OBJECTS = {"2026/10/acme.pdf": b"%PDF-1.7 " * 1200, "2026/11/globex.pdf": b"%PDF-1.7 " * 3100}
ROLES = ("payments-reader", "payments-reporter")


@contextlib.contextmanager
def world(instance: instances.Instance, say: Say, *, isolation: bool = True) -> Iterator[dict[str, Any]]:
    """Runs everything in ``instance``; yields what others may know of it: addresses and file names, no secrets.

    Args:
        instance: its directory is removed at the end.
        say: told what is started.
        isolation: use namespaces for pods where they can be had.

    Raises:
        ProcessError, KubectlError, APIError, OSError: a part did not start.
    """
    directory = instance.directory
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(1))
        opening = pool.submit(_aws, directory / "aws")  # it imports for seconds, the API server starts meanwhile
        say(f"etcd and kube-apiserver {pinned.KUBERNETES}: the real ones")
        control_plane = stack.enter_context(launch(instance))
        stack.push(lambda kind, *_: _keep_logs(instance, kind))
        say("AWS: an STS that judges as strictly as the real one, and S3")
        aws = opening.result()
        stack.callback(aws.close)
        aws.resolve(control_plane.issuer, control_plane.url, control_plane.ca)
        say("Apostille: its two kinds, its rights, controller and admission server")
        installation = stack.enter_context(Installation(control_plane))
        stack.enter_context(Pipeline(control_plane.client, aws, directory / LOGS["aws"]))
        containers, words = stack.enter_context(node(control_plane, aws, directory / LOGS["node"], isolation))
        say(f"a node that runs {words}")
        yield {
            **control_plane.describe(),
            "admission": installation.url,
            "containers": containers,
            "isolation": words,
        }


def _keep_logs(instance: instances.Instance, kind: type[BaseException] | None) -> None:
    if kind is not None and issubclass(kind, Exception):
        logs.keep(instance.id, instance.directory)


def _aws(directory: Path) -> AWSParty:
    directory.mkdir()
    aws = AWSParty(directory=directory)
    try:
        aws.create_bucket(BUCKET, OBJECTS)
        for role in ROLES:
            aws.iam.permit(role, [BUCKET])
        aws.start()
    except BaseException:
        aws.close()
        raise
    return aws
