"""Each module breaks a control plane of its own, so its tests stay on one worker."""

from __future__ import annotations

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """As for the integration tests."""
    for item in items:
        if item.path.parent.name == "e2e" and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(f"e2e-{item.path.stem}"))
