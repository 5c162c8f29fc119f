"""A machine where no container can run is told so, and nothing is tried."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from apostille_demo.node import Containers, node


def test_without_namespaces_and_without_root_no_container_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)

    with node(None, None, tmp_path / "log", isolation=False) as (containers, words):  # type: ignore[arg-type]
        assert containers is Containers.NONE
        assert "NO namespaces on this machine" in words
        assert words.endswith("only root can make those links, so no container runs")

    assert list(tmp_path.iterdir()) == []
