"""Fixtures that every folder of tests may use: a real control plane, a namespace of one's own, pods that are apart."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Iterator

import pytest
from _pytest.fixtures import FuncFixtureInfo

import real_servers
from apostille_testbed import ControlPlane, binaries
from apostille_testbed import control_plane as start_control_plane
from apostille_testbed.parties import programs
from apostille_testbed.parties.hydra.party import HydraParty
from apostille_testbed.parties.keycloak.party import KeycloakParty
from apostille_testbed.pods import detect

LONG = (
    "node",
    *(f"e2e-test_{name}" for name in ("watches", "processes", "upgrade", "leadership", "one_apply", "repair")),
    *(f"e2e-test_{name}" for name in ("rotation", "availability", "issuer")),
    "test_demo",
    "apostille",
    "control_plane",
    "test_runner",
    "oauth",
)
"""Groups, and files whose tests may run apart, that take minutes: one that began last would be waited for alone."""

SHARED = {"apostille": "apostille", "control_plane": "control_plane", "control_plane_kcm": "control_plane"}
"""Fixture of a session to the group of the tests that use it."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that share what is started once stay on one worker: each that ran one of them would start it anew.

    After the folders' own hooks, and before pytest-xdist reads the groups. The long ones come first, as far as the
    order is the collection's (`--no-loadscope-reorder`).
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None and (group := _shares(item)):
            item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=_rank)


def _shares(item: pytest.Item) -> str:
    """The group of a test that has a fixture in common with others, else empty."""
    info: FuncFixtureInfo | None = getattr(item, "_fixtureinfo", None)
    fixtures = info.name2fixturedefs if info is not None else {}
    for name, group in SHARED.items():
        if name in fixtures:
            return group
    own = [made for found in fixtures.values() for made in found if made.baseid == item.nodeid.partition("::")[0]]
    return item.path.stem if any(made.scope != "function" for made in own) else ""


def _rank(item: pytest.Item) -> int:
    mark = item.get_closest_marker("xdist_group")
    group = mark.args[0] if mark is not None else item.path.stem
    return LONG.index(group) if group in LONG else len(LONG)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds what the collected tests need, in sight and before any test's time limit runs."""
    if session.config.option.collectonly:
        return
    fixtures = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    real = any(item.get_closest_marker("integration") for item in session.items)
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        if real or fixtures & {"control_plane", "control_plane_kcm", "signing_cluster"}:
            binaries.kubernetes("kube-apiserver")
        if "control_plane_kcm" in fixtures:
            binaries.kubernetes("kube-controller-manager")
        groups = {mark.args[0] for item in session.items for mark in item.iter_markers("xdist_group") if mark.args}
        for name in sorted((groups | fixtures) & set(programs.NAMES)):
            if not programs.missing(name):
                programs.program(name)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A real API server without a controller manager, one per worker."""
    with start_control_plane() as running:
        yield running


@pytest.fixture(scope="session")
def control_plane_kcm() -> Iterator[ControlPlane]:
    """A real API server with a controller manager, one per worker: controllers make pods, namespaces go."""
    with start_control_plane(controller_manager=True) as running:
        yield running


@pytest.fixture(scope="session")
def signing_cluster() -> Iterator[ControlPlane]:
    """A real API server whose signing key tests may change."""
    with start_control_plane() as running:
        yield running


@pytest.fixture(scope="session")
def keycloak(
    signing_cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[real_servers.World[KeycloakParty]]:
    """A real Keycloak; its tests are of the group ``oauth``, so that there is one."""
    with real_servers.world("keycloak", signing_cluster, tmp_path_factory.mktemp("issuers")) as running:
        yield running


@pytest.fixture(scope="session")
def hydra(
    signing_cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[real_servers.World[HydraParty]]:
    """A real Ory Hydra; its tests are of the group ``oauth``."""
    with real_servers.world("hydra", signing_cluster, tmp_path_factory.mktemp("issuers")) as running:
        yield running


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    """The name of a fresh namespace with its default service account."""
    return control_plane.create_namespace(f"test-{secrets.token_hex(4)}")


@pytest.fixture(scope="session")
def isolation() -> None:
    """Pods get namespaces of the kernel: what routes and two pods at a time need.

    A machine that does not allow it cannot run the test and says why; that fails where ``$APOSTILLE_REQUIRE`` names
    ``isolation``, as in CI.
    """
    found = asyncio.run(detect())
    if not found.namespaces:
        required = "isolation" in os.environ.get("APOSTILLE_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)(found.message)
