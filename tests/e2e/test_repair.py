"""What others do to generated objects is undone; what ended while nobody looked is removed; an uninstall is final."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from typing import Any

import pytest

from apostille_testbed import control_plane
from apostille_testbed.installation import CONTROLLER, NAMESPACE, ROOT
from e2e.one_apply import binding, namespace, trust, workload
from e2e.world import ADMISSION_GROUP, GROUP, World, until, whole

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

HOOKS, KINDS = f"{ADMISSION_GROUP}/mutatingwebhookconfigurations", f"{ADMISSION_GROUP}/validatingwebhookconfigurations"
POLICIES, BINDINGS = (
    f"{ADMISSION_GROUP}/validatingadmissionpolicies",
    f"{ADMISSION_GROUP}/validatingadmissionpolicybindings",
)
MAP = f"/api/v1/namespaces/{NAMESPACE}/configmaps/apostille-access-kept"
PROMPT = 10.0
"""Seconds; a repair takes some hundredths, the next look at everything comes within sixty."""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with control_plane(controller_manager=True) as plane, World(plane) as world:
        world.settle("kept")
        yield world


def essence(raw: dict[str, Any] | None) -> dict[str, Any] | None:
    """What counts of an object."""
    if raw is None:
        return None
    metadata = {key: raw["metadata"].get(key) for key in ("name", "labels", "annotations", "ownerReferences")}
    return {**{key: value for key, value in raw.items() if key != "status"}, "metadata": metadata}


@pytest.mark.parametrize(
    "path",
    [
        f"{HOOKS}/apostille-pods-0",
        f"{KINDS}/apostille-kinds",
        f"{POLICIES}/apostille-tokens-enforce-0",
        f"{POLICIES}/apostille-pods-enforce-0",
        f"{BINDINGS}/apostille-tokens-enforce-0",
        f"{BINDINGS}/apostille-pods-enforce-0-probe",
        MAP,
    ],
    ids=lambda path: path.rpartition("/")[2],
)
def test_a_deleted_object_is_made_again(world: World, path: str) -> None:
    before = essence(world.get(path))

    world.plane.client.request("DELETE", path)

    assert until(lambda: essence(world.get(path)) == before, f"{path} is as it was", 60) < PROMPT
    until(lambda: world.in_force("kept"), "and in force")


@pytest.mark.parametrize(
    ("path", "patch"),
    [
        (f"{HOOKS}/apostille-pods-0", [{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]),
        (
            f"{HOOKS}/apostille-pods-0",
            [{"op": "add", "path": "/webhooks/0/matchConditions/-", "value": {"name": "off", "expression": "false"}}],
        ),
        (f"{HOOKS}/apostille-pods-0", [{"op": "remove", "path": "/webhooks/0"}]),
        (
            f"{HOOKS}/apostille-pods-0",
            [{"op": "remove", "path": "/metadata/labels/app.kubernetes.io~1managed-by"}],
        ),
        (
            f"{POLICIES}/apostille-tokens-enforce-0",
            [{"op": "add", "path": "/spec/matchConditions/-", "value": {"name": "off", "expression": "false"}}],
        ),
        (
            f"{POLICIES}/apostille-tokens-enforce-0",
            [{"op": "replace", "path": "/spec/failurePolicy", "value": "Ignore"}],
        ),
        (
            f"{BINDINGS}/apostille-tokens-enforce-0",
            [{"op": "replace", "path": "/spec/validationActions", "value": ["Audit"]}],
        ),
        (MAP, [{"op": "add", "path": "/data/forged.json", "value": "{}"}]),
        (MAP, [{"op": "remove", "path": "/data"}]),
    ],
    ids=[
        "fail-open",
        "condition",
        "webhook-gone",
        "label",
        "condition-of-policy",
        "policy-open",
        "audit-only",
        "forged",
        "emptied",
    ],
)
def test_a_hand_edit_is_undone(world: World, path: str, patch: list[dict[str, Any]]) -> None:
    until(lambda: world.in_force("kept"), "everything is in force")
    before = essence(world.get(path))

    kind, name = path.split("/")[-2:]
    where = ["-n", NAMESPACE] if path == MAP else []
    world.plane.kubectl("patch", kind, name, *where, "--type=json", f"-p={json.dumps(patch)}")

    assert until(lambda: essence(world.get(path)) == before, f"{name} is as it was", 60) < PROMPT
    until(lambda: world.token("kept"), "and in force")


def test_a_selector_that_somebody_adds_is_not_fought_over(world: World) -> None:
    """A cloud's admission enforcer keeps its own namespaces out; two that write against each other help nobody."""
    extra = {"key": "control-plane", "operator": "DoesNotExist"}
    path = "/webhooks/0/namespaceSelector/matchExpressions/-"
    patch = json.dumps([{"op": "add", "path": path, "value": extra}])
    world.plane.kubectl("patch", "mutatingwebhookconfigurations", "apostille-pods-0", "--type=json", f"-p={patch}")
    touched = world.generated()

    time.sleep(3)  # a repair would have come by now; that none comes can only be waited for

    assert world.generated() == touched


def test_a_forged_status_is_written_again(world: World) -> None:
    """Who may edit statuses does not decide what `kubectl get` says."""
    path = f"{GROUP}/namespaces/kept/workloadbindings/kept"
    before = (world.get(path) or {})["status"]
    forged = {"status": {"phase": "Ended", "subjects": [], "pods": {"matched": 99, "injected": 99}}}
    world.plane.kubectl(
        "patch", "wbind", "kept", "-n", "kept", "--subresource=status", "--type=merge", f"-p={json.dumps(forged)}"
    )

    assert until(lambda: (world.get(path) or {})["status"] == before, "the status is true again", 60) < PROMPT


def test_what_ended_while_the_controller_was_down_is_removed(world: World) -> None:
    """Policies, selection, rendered documents; and the running pod is told."""
    gone = world.settle("gone")["metadata"]["uid"]
    sidecar = binding("gone", "gone")
    sidecar["spec"]["delivery"] = {"mode": "Sidecar"}
    world.put(sidecar)
    world.plane.client.request("DELETE", "/api/v1/namespaces/gone/pods/app?gracePeriodSeconds=0")
    until(lambda: world.in_force("gone"), "the sidecar is planned")
    world.put(workload("Pod", "gone"))
    plan = "apostille.dev/plan"
    assert '"ended":true' not in pod(world, "gone")["metadata"]["annotations"][plan].replace(" ", "")
    assert pod(world, "gone")["metadata"]["uid"] != gone
    assert world.token("gone")
    world.kill(CONTROLLER)

    world.remove(sidecar, trust("gone", ("gone", "app")))
    world.start_controller()

    until(lambda: "gone" not in str(world.selected()), "the selection has gone")
    until(lambda: ended(pod(world, "gone")["metadata"]["annotations"][plan]), "the pod is told")
    until(lambda: world.get(MAP.replace("kept", "gone")) is None, "the documents have gone")
    policy = json.dumps(world.get(f"{POLICIES}/apostille-tokens-enforce-0"))
    assert '"gone/app/' not in policy
    assert '"kept/app/' in policy.replace("\\", "")
    until(lambda: world.in_force("kept"), "the other one is in force")


def test_the_kinds_deleted_and_applied_again(world: World) -> None:
    """With them goes everything that was declared; what is declared afterwards works again."""
    name = f"crd-{secrets.token_hex(3)}"
    world.settle(name)

    world.plane.kubectl("delete", "-f", str(ROOT / "crds"))
    until(lambda: name not in str(world.selected()), "the selection has gone")
    until(lambda: world.get(MAP.replace("kept", name)) is None, "the documents have gone")
    world.plane.kubectl("apply", "-f", str(ROOT / "crds"))
    world.plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", *(
        f"crd/{kind}.apostille.dev" for kind in ("federationtrusts", "workloadbindings")))  # fmt: skip

    world.put(*whole(name)[2:4])
    until(lambda: world.in_force(name), "it is in force again")
    until(lambda: world.token(name), "its pod gets tokens again")
    world.settle("kept")
    assert world.process(CONTROLLER).running


def test_the_kinds_deleted_and_the_api_server_restarted_with_nobody_there(world: World) -> None:
    """The policies stay as last written and need no kind: kube-system's tokens and pods work, and everybody else's."""
    name = f"cold-{secrets.token_hex(3)}"
    world.settle(name)
    world.kill()
    world.plane.kubectl("delete", "-f", str(ROOT / "crds"))
    world.plane.restart_apiserver()
    try:
        world.plane.kubectl("create", "serviceaccount", "system", "-n", "kube-system")
        world.plane.kubectl("create", "serviceaccount", "other", "-n", "default")
        for where, account in (("kube-system", "system"), ("default", "other")):
            until(lambda where=where, account=account: world.plane.token(where, account), "tokens are issued")
            audience = f"https://{name}.sts.example"
            closed = ["create", "token", account, "-n", where, f"--audience={audience}"]
            assert (world.plane.kubectl(*closed, check=False).returncode == 0) == (where == "kube-system")
            made = workload("Pod", where, account=account, name=name)
            world.plane.client.request("POST", f"/api/v1/namespaces/{where}/pods", made)
    finally:
        world.plane.kubectl("apply", "-f", str(ROOT / "crds"))
        established = (f"crd/{kind}.apostille.dev" for kind in ("federationtrusts", "workloadbindings"))
        world.plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", *established)
        world.start_admission()
        world.start_controller()
    until(lambda: name not in str(world.selected()), "what was declared went with the kinds")
    world.put(*whole("kept")[2:4])
    world.settle("kept")


def test_a_namespace_deleted(world: World) -> None:
    """Binding and pods go with it; its name means nothing until it is declared anew."""
    name = f"ns-{secrets.token_hex(3)}"
    world.settle(name)

    world.plane.kubectl("delete", "namespace", name, "--timeout=60s")
    until(lambda: (name, "app") not in world.selected()["Fail"], "nothing is bound there")
    until(lambda: world.conditions("federationtrusts", name).get("Ready") == "Ready", "the trust has no bindings")
    world.put(*namespace(name, "app"), workload("Pod", name))
    until(lambda: not world.token(name), "and nothing granted")

    world.put(binding(name, name))
    until(lambda: world.in_force(name) or pending(world, name), "it is declared anew")
    until(lambda: world.token(name), "and granted")


def test_an_uninstall_is_respected(world: World) -> None:
    """The anchor goes, and with it everything generated; nothing is written until Apostille is installed again."""
    world.plane.kubectl("delete", "clusterrole", "apostille-anchor")
    until(lambda: not [path for path in world.generated() if ADMISSION_GROUP in path], "everything generated has gone")

    world.put(*whole("unseen")[:-1])
    time.sleep(5)  # that nothing is written can only be waited for
    assert not [path for path in world.generated() if ADMISSION_GROUP in path]
    assert world.conditions("workloadbindings", "unseen", "unseen") == {}
    world.put(workload("Pod", "unseen"))  # nothing refuses pods
    assert "nothing is written any more" in world.log(CONTROLLER)

    world.plane.kubectl("apply", "-f", str(ROOT / "hack" / "manifests" / "apostille.yaml"))
    until(lambda: world.conditions("workloadbindings", "unseen", "unseen").get("Ready"), "it works again")
    world.settle("kept")


def pod(world: World, where: str) -> dict[str, Any]:
    found = world.get(f"/api/v1/namespaces/{where}/pods/app")
    assert found is not None
    return found


def ended(plan: str) -> bool:
    return '"ended":true' in plan.replace(" ", "")


def pending(world: World, name: str) -> bool:
    """Pods that are older than their binding are named, and everything else is in force."""
    return world.conditions("workloadbindings", name, name).get("Ready") == "PodsMissing"
