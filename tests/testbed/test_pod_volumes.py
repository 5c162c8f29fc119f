"""Volumes have the kubelet's modes, and change in one step."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from apostille_testbed.pods import volumes
from apostille_testbed.pods.volumes import File


def _pod(**security: Any) -> dict[str, Any]:
    memory = {"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "4Mi"}}
    disk = {"name": "d", "emptyDir": {}}
    return {"spec": {"containers": [{"name": "app"}], "volumes": [memory, disk], "securityContext": security}}


@pytest.mark.parametrize(
    ("security", "token", "other", "directory"),
    [
        pytest.param({}, 0o644, 0o644, 0o777, id="nothing said"),
        pytest.param({"runAsUser": 1000}, 0o600, 0o644, 0o777, id="one user"),
        pytest.param({"fsGroup": 2000}, 0o640, 0o644, 0o2777, id="a group"),
        pytest.param({"runAsUser": 1000, "fsGroup": 2000}, 0o640, 0o644, 0o2777, id="both"),
    ],
)
def test_modes_follow_user_and_group(security: dict[str, int], token: int, other: int, directory: int) -> None:
    pod = _pod(**security)

    assert volumes.file_mode(pod, volumes.token_mode(pod, 0o644)) == token
    assert volumes.file_mode(pod, 0o644) == other
    assert volumes.directory_mode(pod) == directory
    assert volumes.memory(pod) == {"m": f"mode={directory:o},size=4m"}


def test_a_token_is_not_private_to_a_user_that_a_container_does_not_share() -> None:
    pod = _pod(runAsUser=1000)
    pod["spec"]["initContainers"] = [{"name": "side", "securityContext": {"runAsUser": 65532}}]

    assert volumes.token_mode(pod, 0o644) == 0o644


def test_files_are_replaced_together_and_keep_their_modes(tmp_path: Path) -> None:
    volumes.write(tmp_path / "v", {"a": File(b"1", 0o600), "sub/b": File(b"1", 0o644), "gone": File(b"", 0o644)})
    before = os.readlink(tmp_path / "v" / "..data")

    volumes.write(tmp_path / "v", {"a": File(b"2", 0o640), "sub/b": File(b"2", 0o644)})

    after = os.readlink(tmp_path / "v" / "..data")
    assert before != after
    assert sorted(path.name for path in (tmp_path / "v").iterdir()) == sorted(["..data", after, "a", "sub"])
    assert [(tmp_path / "v" / name).read_bytes() for name in ("a", "sub/b")] == [b"2", b"2"]
    assert (tmp_path / "v" / "a").stat().st_mode & 0o777 == 0o640


def test_unchanged_files_stay_where_they_are(tmp_path: Path) -> None:
    volumes.write(tmp_path / "v", {"a": File(b"1", 0o644)})
    seen = os.readlink(tmp_path / "v" / "..data")

    volumes.write(tmp_path / "v", {"a": File(b"1", 0o644)})

    assert os.readlink(tmp_path / "v" / "..data") == seen
