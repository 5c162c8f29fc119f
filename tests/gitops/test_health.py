"""What Argo CD and Flux make of every status that there is: healthy is only what is Ready."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cel
import pytest
import yaml
from lupa.lua51 import LuaRuntime

from gitops import kstatus

ROOT = Path(__file__).parents[2]
ARGO = ROOT / "examples" / "gitops" / "argocd"
FLUX = ROOT / "examples" / "gitops" / "flux"
LUA = (ARGO / "health.lua").read_text()
TESTS = yaml.safe_load((ARGO / "health_test.yaml").read_text())["tests"]

Json = dict[str, Any]


def argo(live: Json) -> tuple[str, str]:
    """Status and message by the Lua, run as Argo CD runs it: Lua 5.1, the object as ``obj``."""
    lua = LuaRuntime()

    def table(value: Any) -> Any:
        if isinstance(value, dict):
            return lua.table_from({key: table(one) for key, one in value.items()})
        return lua.table_from([table(one) for one in value]) if isinstance(value, list) else value

    lua.globals()["obj"] = table(live)
    health = lua.execute(LUA)
    return health["status"], health["message"]


def flux(live: Json) -> str:
    """By the expressions of a Kustomization, in Flux' order: in progress, failed, current; else in progress."""
    (expressions,) = {
        tuple(sorted((key, text) for key, text in check.items() if key not in ("apiVersion", "kind")))
        for check in checks()
        if check["kind"] == live["kind"]
    }
    known = dict(expressions)
    for result, key in (("InProgress", "inProgress"), ("Failed", "failed"), ("Current", "current")):
        if cel.evaluate(known[key], live):
            return result
    return "InProgress"


def checks() -> Iterator[Json]:
    """All health checks of the example."""
    for path in FLUX.glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            yield from document["spec"].get("healthCheckExprs", ())


def statuses() -> Iterator[tuple[str, Json]]:
    """Every status that the golden cases hold, on an object of its kind."""
    for path in sorted((ROOT / "tests" / "golden").glob("*/out/status.yaml")):
        for name, status in yaml.load(path.read_text(), yaml.CSafeLoader).items():
            kind, _, of = name.partition(" ")
            yield f"{path.parts[-3]}:{of}", {"kind": kind, "metadata": {"name": of, "generation": 1}, "status": status}


CASES = dict(statuses())
# Reason of a Ready that is False: what Argo CD, and Flux by its own rules and by the example's, say.
NOT_READY = {
    "RuleViolated": ("Degraded", "Failed", "Failed"),
    "TrustNotAccepted": ("Degraded", "Failed", "Failed"),
    "RenderFailed": ("Degraded", "Failed", "Failed"),
    "Expired": ("Degraded", "InProgress", "Failed"),
    "ForeignUsers": ("Degraded", "InProgress", "Failed"),
    "Suspended": ("Suspended", "InProgress", "InProgress"),
    "NotYet": ("Suspended", "InProgress", "InProgress"),
    "TrustNotFound": ("Progressing", "InProgress", "InProgress"),
}


@pytest.mark.parametrize("name", CASES)
def test_healthy_is_what_is_ready(name: str) -> None:
    live = CASES[name]
    (ready,) = [one for one in live["status"]["conditions"] if one["type"] == "Ready"]
    expected = ("Healthy", "Current", "Current") if ready["status"] == "True" else NOT_READY[ready["reason"]]

    assert (argo(live)[0], kstatus.status(live), flux(live)) == expected
    assert argo(live)[1] == ready["message"]


def test_the_cases_have_every_reason_of_the_table() -> None:
    found = {one["reason"] for live in CASES.values() for one in live["status"]["conditions"] if one["type"] == "Ready"}
    assert found >= NOT_READY.keys() | {"Ready", "CutOffShared", "PodsMissing"}


@pytest.mark.parametrize("name", [name for name, live in CASES.items() if argo(live)[0] == "Healthy"][:4])
def test_nothing_is_healthy_by_what_was_said_of_an_older_spec(name: str) -> None:
    live = CASES[name]
    changed = {**live, "metadata": {**live["metadata"], "generation": 2}}
    assert (argo(changed)[0], kstatus.status(changed), flux(changed)) == ("Progressing", "InProgress", "InProgress")


def test_nothing_is_healthy_before_it_was_looked_at() -> None:
    """The API server's own default, by the schema of either kind."""
    for path in (ROOT / "crds").glob("*.yaml"):
        crd = yaml.safe_load(path.read_text())
        default = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["default"]
        new = {"kind": crd["spec"]["names"]["kind"], "metadata": {"name": "new", "generation": 1}, "status": default}
        assert (argo(new)[0], kstatus.status(new), flux(new)) == ("Progressing", "InProgress", "InProgress")


def test_what_is_going_is_terminating() -> None:
    assert kstatus.status({"metadata": {"generation": 1, "deletionTimestamp": "2026-11-25T00:00:00Z"}}) == "Terminating"


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test["inputPath"])
def test_the_test_data_beside_the_lua(test: Json) -> None:
    """In the form in which Argo CD takes health checks of others (resource_customizations/GROUP/KIND)."""
    live = yaml.safe_load((ARGO / test["inputPath"]).read_text())
    assert argo(live) == (test["healthStatus"]["status"], test["healthStatus"]["message"])


def test_argo_cds_settings_hold_the_same_lua_for_both_kinds() -> None:
    settings = yaml.safe_load((ARGO / "argocd-cm.yaml").read_text())["data"]
    kinds = {yaml.safe_load(path.read_text())["spec"]["names"]["kind"] for path in (ROOT / "crds").glob("*.yaml")}

    assert settings == {f"resource.customizations.health.apostille.dev_{kind}": LUA for kind in kinds}


def test_the_examples_name_what_there_is() -> None:
    """Paths, folders and values files of this repository."""
    for path in (*ARGO.glob("*.yaml"), *FLUX.glob("*.yaml")):
        for found in re.findall(r"(?<![\w/])(?:charts|examples|platform|teams)/[\w./-]+\b", path.read_text()):
            base = ROOT if found.startswith(("charts", "examples")) else ROOT / "examples" / "gitops"
            assert (base / found).exists(), f"{path.name}: {found}"
