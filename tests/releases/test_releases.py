"""What was released is kept here, so that upgrades from it can be tested without history."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent
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


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_the_api_server_fills_in_nothing_that_the_release_does_not_know(release: Path) -> None:
    """Its processes still run when an upgrade has changed the kinds: an object that they cannot read has no effect."""

    def unknown(new: dict[str, Any], old: dict[str, Any], path: str) -> Iterator[str]:
        for name, child in new.get("properties", {}).items():
            known = old.get("properties", {}).get(name)
            if known is not None:
                yield from unknown(child, known, f"{path}.{name}")
            elif "default" in child:
                yield f"{path}.{name}"
        yield from unknown(new["items"], old["items"], f"{path}[]") if "items" in new and "items" in old else ()

    with tarfile.open(release / f"apostille-{release.name}.tgz") as archive:
        for file in ("federationtrusts.yaml", "workloadbindings.yaml"):
            before = archive.extractfile(f"apostille/crds/{file}")
            assert before is not None
            schemas = [
                yaml.safe_load(text)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
                for text in ((HERE.parents[1] / "crds" / file).read_text(), before.read())
            ]
            assert list(unknown(*schemas, "")) == []
