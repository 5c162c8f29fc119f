"""What is injected keeps a pod's level of Pod Security, as the API server's own admission judges it, and is stable."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import jsonpatch
import pytest

from apostille.core.inject import inject
from apostille.core.pod_plan import PodPlan
from apostille.core.settings import InjectionSettings
from apostille_testbed import ControlPlane
from apostille_testbed.client import APIError
from builders import binding, plan, role, sidecar
from integration.pod_shapes import CONTEXTS, SHAPES, corpus

pytestmark = [pytest.mark.integration, pytest.mark.e2e]
SETTINGS = InjectionSettings()
LEVELS = ("restricted", "baseline", "privileged")
CASES = list(corpus())

WAYS: dict[str, Sequence[PodPlan]] = {
    "SDK": [plan(binding("sdk"))],
    "Sidecar": [plan(sidecar("files"))],
    "Init": [plan(sidecar("once", delivery={"mode": "Init"}))],
    "TokenOnly": [plan(binding("token", delivery={"mode": "TokenOnly"}))],
    "all together": [
        plan(binding("sdk")),
        plan(sidecar("files", delivery={"mode": "Sidecar", "environment": "Omit"})),
        plan(sidecar("once", delivery={"mode": "Init", "environment": "Omit"},
                     target={"aws": {"roleARN": role("other")}})),
        plan(binding("token", delivery={"mode": "TokenOnly"})),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def namespaces(control_plane: ControlPlane) -> dict[str, str]:
    """One for each level, which the API server enforces."""
    made = {}
    for level in LEVELS:
        name = f"shapes-{level}-{secrets.token_hex(3)}"
        labels = {"pod-security.kubernetes.io/enforce": level}
        control_plane.create_namespace(name, labels)
        accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
        control_plane.client.request("POST", accounts, {"metadata": {"name": "reader"}})
        made[level] = name
    return made


def pod(spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"}, "spec": deepcopy(spec)}


def level(plane: ControlPlane, namespaces: dict[str, str], body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The strictest level whose namespace takes the pod, and the pod as the API server would store it."""
    for name in LEVELS:
        try:
            path = f"/api/v1/namespaces/{namespaces[name]}/pods?dryRun=All"
            return name, plane.client.request("POST", path, body)
        except APIError as error:
            if "PodSecurity" not in str(error):
                raise
    raise AssertionError("no level takes it")


def applied(body: dict[str, Any], plans: Sequence[PodPlan]) -> dict[str, Any]:
    found = inject(body, plans, SETTINGS)
    assert found.denial == ""
    patched: dict[str, Any] = jsonpatch.apply_patch(deepcopy(body), list(found.operations))
    return patched


def test_the_corpus_is_large_and_says_where_it_comes_from() -> None:
    assert len(CASES) >= 150
    assert len({name for name, _ in CASES}) == len(CASES)
    assert all(shape.source for shape in SHAPES.values())


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_keeps_its_level_and_a_second_call_changes_nothing(
    control_plane: ControlPlane, namespaces: dict[str, str], shape: str
) -> None:
    for n, (name, spec) in enumerate(case for case in CASES if case[0].startswith(f"{shape} [")):
        before, _ = level(control_plane, namespaces, pod(spec))
        # Each way with some of the contexts, all together with every one.
        ways = [list(WAYS)[n % (len(WAYS) - 1)], "all together"]
        for way in ways:
            plans = WAYS[way]
            after, stored = level(control_plane, namespaces, applied(pod(spec), plans))
            assert after == before, f"{name}, {way}"
            assert inject(stored, plans, SETTINGS).operations == (), f"{name}, {way}: after the API server's defaulting"
            # Another webhook comes afterwards, with a container of its own; then ours once more, twice.
            stored["spec"]["containers"].append({"name": "late", "image": "late:1"})
            again = applied(stored, plans)
            assert again["spec"]["containers"][-1].get("volumeMounts"), f"{name}, {way}: the late container"
            assert inject(again, plans, SETTINGS).operations == (), f"{name}, {way}: reinvoked"


def test_every_level_is_met(control_plane: ControlPlane, namespaces: dict[str, str]) -> None:
    met = {level(control_plane, namespaces, pod(spec))[0] for name, spec in CASES if name.startswith(("plain", "gpu"))}
    assert met == set(LEVELS)
    assert len(CONTEXTS) >= 5
