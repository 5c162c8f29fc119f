"""A real node, which modules share: only one runs on a machine, so all of this folder stays on one worker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from apostille_testbed import Node, binaries
from apostille_testbed.chart import Release
from apostille_testbed.golang import BuildError
from apostille_testbed.node import images, lacking, lane, sdks
from apostille_testbed.node.self_hosted import SelfHosted
from apostille_testbed.progress import Console
from node import scene
from node.shared import Shared

_SHARED = pytest.StashKey[Shared]()

ORDER = ("bare", "release", "trusting", "alone")
"""Fixtures by which tests are put in order: then the node is started once, and little is installed twice."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All are long forms."""
    for item in items:
        if _here(item):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.xdist_group("node"))
            # Somebody else's node on this machine is waited for.
            item.add_marker(pytest.mark.timeout(900))
    items.sort(key=_rank)


def _here(item: pytest.Item) -> bool:
    return item.path.parent.name == "node"


def _rank(item: pytest.Item) -> int:
    fixtures = getattr(item, "fixturenames", ())
    return max((ORDER.index(name) + 1 for name in ORDER if name in fixtures), default=0) if _here(item) else 0


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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """The shared node ends with the last test of this folder: whoever comes next may start one."""
    try:
        yield
    finally:
        shared = item.config.stash.get(_SHARED, None)
        if shared is not None and (nextitem is None or not _here(nextitem)):
            shared.end()


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


@pytest.fixture(scope="session")
def shared(machine: None, pytestconfig: pytest.Config) -> Iterator[Shared]:
    """What modules share; by itself it starts nothing."""
    kept = pytestconfig.stash[_SHARED] = Shared()
    yield kept
    kept.end()


@pytest.fixture(scope="module")
def node(shared: Shared) -> Node:
    """The shared control plane with a node."""
    return shared.node()


@pytest.fixture(scope="module")
def release(shared: Shared) -> Release:
    """Apostille on it, as the chart installs it; shared, so nobody may remove it."""
    return shared.release()


@pytest.fixture(scope="module")
def servers(shared: Shared, release: Release) -> SelfHosted:
    """Vault and MinIO beside it."""
    return shared.servers()


@pytest.fixture(scope="module")
def trusting(shared: Shared, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Release]:
    """Makes it Apostille with a sidecar that trusts these authorities (PEM) in place of the system's."""

    def with_authorities(text: str) -> Release:
        tag = scene.trusting(shared.node(), text, tmp_path_factory.mktemp("image"))
        return shared.release(f"exchange.image.tag={tag}")

    return with_authorities


@pytest.fixture(scope="module")
def bare(shared: Shared) -> Iterator[Node]:
    """The shared node without Apostille and its kinds, and left so."""
    yield shared.bare()
    shared.bare()


@pytest.fixture(scope="module")
def alone(shared: Shared) -> None:
    """No node of these tests runs: this module starts its own."""
    shared.end()
