"""A machine that cannot run a node is told why, before anything is started."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from apostille_testbed import NodeUnavailable, instances, node
from apostille_testbed.golang import BuildError
from apostille_testbed.node import cgroups, lacking, packages
from apostille_testbed.node.lane import launch


def test_without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(NodeUnavailable, match="root: namespaces, mounts and cgroups of a kubelet need it"):
        node(say=lambda _: None)


def test_without_programs_and_a_way_to_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)

    (reason, *_) = lacking()

    assert reason.startswith("programs: containerd, ctr, runc, ")
    assert reason.endswith("are not here, and there is no apt-get")
    with pytest.raises(BuildError, match=r"missing buildah, debootstrap \(Debian: buildah debootstrap\)"):
        packages.require(packages.BUILD, lambda _: None)


def test_without_cgroups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(cgroups, "_MOUNT", tmp_path)

    assert "cgroups: no writable cpu, cpuset, memory, pids controller" in lacking()


def test_with_a_cache_that_a_node_would_hide(machine: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APOSTILLE_CACHE", "/var/lib/apostille-cache-of-a-test")
    try:
        assert any(reason.startswith("cache: ") and "set APOSTILLE_CACHE" in reason for reason in lacking())
    finally:
        shutil.rmtree("/var/lib/apostille-cache-of-a-test", ignore_errors=True)


def test_with_a_path_that_is_too_long_for_a_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("APOSTILLE_CACHE", str(tmp_path / ("long" * 25)))
    instance = instances.claim("short")

    with pytest.raises(NodeUnavailable, match=r"kubelet\.sock has \d+ bytes, Linux takes 107; set APOSTILLE_CACHE"):
        launch(instance)

    instances.claim("short").release()
