"""The node of the story: runs its pods as processes of this machine, as far as the machine allows."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

from apostille_testbed import ControlPlane
from apostille_testbed.parties.aws import AWSParty
from apostille_testbed.pods import Image, Route, decide, detect, pod_runner, standard_images

NAME = "demo"


class Containers(StrEnum):
    """How containers run: each pod in namespaces of its own; one pod at a time without any; not at all."""

    ISOLATED = "isolated"
    BARE = "bare"
    NONE = "none"


@contextlib.contextmanager
def node(control_plane: ControlPlane, aws: AWSParty, log: Path, isolation: bool) -> Iterator[tuple[Containers, str]]:
    """Runs it; yields how containers run and a sentence about it.

    Args:
        log: what the node does, line by line.
        isolation: use namespaces where they can be had.
    """
    found = asyncio.run(detect()) if isolation else decide("switched off")
    if not found.namespaces and not os.access("/var/run", os.W_OK):
        yield Containers.NONE, f"{found.message}; and only root can make those links, so no container runs"
        return
    containers = Containers.ISOLATED if found.namespaces else Containers.BARE
    with (
        _logging(log),
        pod_runner(
            control_plane,
            name=NAME,
            images=_images(aws, containers),
            routes=[Route(aws.hosts, 443, ("127.0.0.1", aws.port))],
            isolation=None if found.namespaces else False,
        ),
    ):
        yield containers, found.message


def _images(aws: AWSParty, containers: Containers) -> Mapping[str, Image]:
    """Containers reach AWS by its real names; only its certificate is signed by an authority of the demo's own.

    Without a network of their own they are told by the SDKs' variables where it is.
    """
    images = standard_images(aws.ca)
    if containers is Containers.ISOLATED:
        return images
    places = {"AWS_ENDPOINT_URL_STS": aws.url, "AWS_ENDPOINT_URL_S3": aws.url}
    return {name: dataclasses.replace(image, env={**image.env, **places}) for name, image in images.items()}


@contextlib.contextmanager
def _logging(path: Path) -> Iterator[None]:
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("apostille.testbed.pods")
    log.setLevel(logging.INFO)
    log.propagate = False
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.close()
