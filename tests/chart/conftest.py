"""The chart by what it renders: no cluster, but Helm, which is built once; so these are long forms."""

from __future__ import annotations

import pytest

from apostille_testbed import binaries


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker renders everything once."""
    for item in items:
        if item.path.parent.name == "chart":
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.xdist_group("chart"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Builds Helm in sight and before any test's time limit runs."""
    if session.config.option.collectonly or not any(item.path.parent.name == "chart" for item in session.items):
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        binaries.helm()
