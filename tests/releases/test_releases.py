"""What was released is kept here, so that upgrades from it can be tested without history."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RELEASES = sorted(path for path in HERE.iterdir() if path.is_dir() and path.name[0].isdigit())


def test_there_is_a_release() -> None:
    assert [release.name for release in RELEASES][:1] == ["0.1.0"]


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_the_wheel_is_whole_and_says_its_version(release: Path) -> None:
    wheel = release / f"apostille-{release.name}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        packages = {name.partition("/")[0] for name in archive.namelist() if name.endswith(".py")}
    assert packages == {"apostille", "apostille_exchange"}
    script = f"import sys; sys.path.insert(0, {str(wheel)!r}); from apostille.cli.main import main; main(['--version'])"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.strip() == f"apostille {release.name}", done.stderr


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_the_chart_is_whole_and_says_its_version(release: Path) -> None:
    with tarfile.open(release / f"apostille-{release.name}.tgz") as archive:
        names = set(archive.getnames())
        description = archive.extractfile("apostille/Chart.yaml")
        assert description is not None
        chart = yaml.safe_load(description)
    assert (chart["version"], chart["appVersion"]) == (release.name, release.name)
    assert {"apostille/values.yaml", "apostille/values.schema.json", "apostille/crds/federationtrusts.yaml"} <= names


def _appearing(schema: dict[str, Any], before: dict[str, Any], path: str) -> list[str]:
    """Fields that the release does not know, and that the API server would show where nobody has written them."""
    found = []
    for name, child in schema.get("properties", {}).items():
        if name in before.get("properties", {}):
            found += _appearing(child, before["properties"][name], f"{path}.{name}")
        elif "default" in child:
            found.append(f"{path}.{name}")
    if "items" in schema:
        found += _appearing(schema["items"], before.get("items", {}), f"{path}[]")
    return found


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
@pytest.mark.parametrize("file", ["federationtrusts.yaml", "workloadbindings.yaml"])
def test_a_release_can_read_what_the_kinds_of_today_show(release: Path, file: str) -> None:
    """It still runs while Helm upgrades them, and again after a rollback; it takes no field that it does not know."""
    now = _spec((ROOT / "crds" / file).read_bytes())
    with tarfile.open(release / f"apostille-{release.name}.tgz") as archive:
        member = archive.extractfile(f"apostille/crds/{file}")
        assert member is not None
        before = _spec(member.read())

    assert before["properties"].keys() <= now["properties"].keys()
    assert _appearing(now, before, "spec") == []
    changed = {**now, "properties": {**now["properties"], "new": {"type": "boolean", "default": False}}}
    assert _appearing(changed, before, "spec") == ["spec.new"]


def _spec(crd: bytes) -> dict[str, Any]:
    schema: dict[str, Any] = yaml.safe_load(crd)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return dict(schema["properties"]["spec"])
