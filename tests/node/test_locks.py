"""What the image installs is what the tests ran with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def pins(name: str) -> dict[str, str]:
    """Package to version."""
    text = (ROOT / "locks" / name).read_text()
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", text, re.MULTILINE))


def test_the_image_has_the_versions_of_the_tests() -> None:
    development = pins("dev.txt")

    assert {name: version for name, version in pins("runtime.txt").items() if development.get(name) != version} == {}


def test_everything_in_the_image_has_its_hash() -> None:
    text = (ROOT / "locks" / "runtime.txt").read_text()

    assert len(re.findall(r"^\S+==\S+.* \\\n    --hash=sha256:", text, re.MULTILINE)) == len(pins("runtime.txt"))


def test_what_the_processes_declare_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [
        *project["dependencies"],
        *(d for extra in ("kube", "controller", "admission", "cli") for d in extras[extra]),
    ]
    names = {re.match(r"[A-Za-z0-9._-]+", dependency)[0] for dependency in wanted} - {"apostille"}  # type: ignore[index]

    assert names <= pins("runtime.txt").keys()
