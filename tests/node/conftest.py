"""A real node, one for each module: only one runs on a machine, so all of this folder stays on one worker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

from apostille_testbed import Node, binaries
from apostille_testbed import node as start_node
from apostille_testbed.chart import Release
from apostille_testbed.golang import BuildError
from apostille_testbed.node import images, lacking, lane, sdks
from apostille_testbed.progress import Console


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All are long forms."""
    for item in items:
        if item.path.parent.name == "node":
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.xdist_group("node"))
            # Somebody else's node on this machine is waited for.
            item.add_marker(pytest.mark.timeout(900))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds what the collected tests need, in sight and before any test's time limit runs."""
    fixtures = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    if session.config.option.collectonly or not fixtures & {"machine", "helm"}:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        binaries.helm()
        if "machine" in fixtures and not lacking():
            lane.prepare(Console())
            images.images(Console())
        if "parties" in fixtures and not lacking():
            # Where it cannot be built the tests that need it say why.
            with suppress(BuildError):
                sdks.sdks(Console())


@pytest.fixture(scope="session")
def helm() -> None:
    """Helm is there."""
    binaries.helm()


@pytest.fixture(scope="session")
def machine() -> None:
    """This machine can run a node. One that cannot says why; that fails where ``$APOSTILLE_REQUIRE`` names ``node``."""
    if reasons := lacking():
        required = "node" in os.environ.get("APOSTILLE_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)("no node on this machine: " + "; ".join(reasons))


@pytest.fixture(scope="module")
def node(machine: None) -> Iterator[Node]:
    """A control plane with a node."""
    with start_node() as running:
        yield running


@pytest.fixture(scope="module")
def release(node: Node) -> Iterator[Release]:
    """Apostille on it, as the chart installs it; shared, so nobody may remove it."""
    with Release(node) as installed:
        yield installed
