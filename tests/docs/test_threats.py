"""The table of ways around admission stays true: each way is there, with a test that exists or with why it is open."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "threats.md").read_text()
SECTION = TEXT.partition("## Ways around admission")[2]
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split(" | "))
    for line in SECTION.splitlines()
    if line.startswith("| ") and not line.startswith("| way")
]
# Every word of the reference's bypass matrix (reference on Kubernetes, B §3.2) by which a row is known.
MATRIX = (
    "pods/ephemeralcontainers", "pods/exec", "attach", "portforward", "template", "hand-declared projected audience",
    "podCertificate", "CSIDriver.spec.tokenRequests", "token requests by users, controllers",
    "kubernetes.io/service-account-token", "labels on namespace", "kubernetes.io/metadata.name", "or pod that call",
    "generateName", "a pod that exists", "annotations and labels of a pod that exists", "dryRun", "matchPolicy: Exact",
    "another version", "subPath", "init container", "restartable", "static pod", "annotations of a service account",
    "before the kubelet asks", "impersonate", "bind", "escalate", "a spelling that only looks the same", "case",
    "slash at the end", "patterns", "one of a thousand", "JSON key twice", "JSON Patch paths",
)  # fmt: skip


def _tests(*folders: str) -> dict[str, Path]:
    """Every test function by its name without ``test_``."""
    found = {}
    for folder in folders:
        for path in (ROOT / "tests" / folder).glob("test_*.py"):
            for name in re.findall(r"^ *(?:async )?def test_(\w+)", path.read_text(), re.MULTILINE):
                found[name] = path
    return found


KNOWN = _tests("core", "integration", "node", "rules")


def _named(cell: str) -> list[str]:
    return [name for name in re.findall(r"`([a-z0-9_]+)`", cell) if "_" in name or name in KNOWN]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_a_way_has_a_test_or_a_reason(row: tuple[str, ...]) -> None:
    _, stands, shown = row
    named = _named(shown)
    assert set(named) <= set(KNOWN), "a test that is not there (any more)"
    assert named or stands.startswith("**open**"), "what is closed is shown by a test"
    assert shown, "what is open says what closes it"


@pytest.mark.parametrize("way", MATRIX)
def test_a_way_of_the_reference_is_in_the_table(way: str) -> None:
    assert any(way in " ".join(row) for row in ROWS)


def test_no_bypass_is_tested_that_the_table_does_not_tell() -> None:
    told = {name for *_, shown in ROWS for name in _named(shown)}
    assert {name for name, path in KNOWN.items() if path.name == "test_bypasses.py"} <= told


def test_a_dead_controllers_part_is_told() -> None:
    assert "CEL has no clock" in TEXT.partition("**A dead controller**")[2]
