"""The ways around admission that are known, each tried on a real API server; which stay open is in docs/threats.md.

The list is the one of the reference on admission webhooks: what is matched by resource, operation, label, name or
version, and what is written differently but means the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from apostille.core.grants import Protection
from integration.plain_client import Answer, PlainClient, connected, namespace, pod, service_account
from integration.policy_scene import ENFORCED, FREE, PolicyScene, grant, policy_scene, token_source, token_volume

pytestmark = pytest.mark.integration
MINE = token_volume("mine", token_source(ENFORCED))
MASTER: dict[str, Any] = {"user": "root", "groups": ["system:masters"]}
GOLDEN: dict[str, Any] = {"user": "system:serviceaccount:kube-system:replicaset-controller", "groups": [
    "system:masters", "system:serviceaccounts",
]}  # fmt: skip


@pytest.fixture(scope="module")
def api(control_plane: Any) -> Iterator[PlainClient]:
    with connected(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture(scope="module")
def scene(api: PlainClient) -> Iterator[PolicyScene]:
    with policy_scene(api) as scene:
        yield scene


@pytest.fixture(scope="module")
def app(scene: PolicyScene) -> str:
    """``reader`` is granted, ``stranger`` is not."""
    where = scene.namespace("app")
    scene.write([Protection(ENFORCED, "Enforce")], [grant(where, "reader", ENFORCED)])
    return where


def make(scene: PolicyScene, raw: dict[str, Any], **who: Any) -> Answer:
    return scene.api.create(raw, dry_run=True, **who)


def closed(answer: Answer, rule: str = "APO501") -> None:
    assert (answer.code, answer.message[-8:]) == (403, f"[{rule}]"), answer.message


def test_a_pod_without_a_name_of_its_own(scene: PolicyScene, app: str) -> None:
    raw = pod(app, "x", "stranger", volumes=[MINE])
    raw["metadata"] = {"namespace": app, "generateName": "x-"}
    closed(make(scene, raw))


def test_a_service_account_in_the_deprecated_field(scene: PolicyScene, app: str) -> None:
    closed(make(scene, pod(app, "x", None, serviceAccount="stranger", volumes=[MINE])))
    assert make(scene, pod(app, "x", None, serviceAccount="reader", volumes=[MINE])).code == 201


def test_no_service_account_at_all(scene: PolicyScene, app: str) -> None:
    closed(make(scene, pod(app, "x", None, volumes=[MINE])))


@pytest.mark.parametrize("restart", [None, "Always"])
def test_only_an_init_container_mounts_it(scene: PolicyScene, app: str, restart: str | None) -> None:
    mounts = [{"name": "mine", "mountPath": "/t"}]
    init = {"name": "i", "image": "i", "volumeMounts": mounts} | ({"restartPolicy": restart} if restart else {})
    closed(make(scene, pod(app, "x", "stranger", initContainers=[init], volumes=[MINE])))


def test_only_a_sub_path_of_it_is_mounted(scene: PolicyScene, app: str) -> None:
    mounts = [{"name": "mine", "mountPath": "/t", "subPath": "token"}]
    container = {"name": "app", "image": "app", "volumeMounts": mounts}
    closed(make(scene, pod(app, "x", "stranger", containers=[container], volumes=[MINE])))


def test_behind_many_other_sources_and_volumes(scene: PolicyScene, app: str) -> None:
    maps = [{"configMap": {"name": f"m{i}", "optional": True}} for i in range(100)]
    volumes = [{"name": f"v{i}", "emptyDir": {}} for i in range(100)]
    hidden = {"name": "mine", "projected": {"sources": [*maps, token_source(ENFORCED)]}}
    closed(make(scene, pod(app, "x", "stranger", volumes=[*volumes, hidden])))


def test_as_a_controller_or_an_administrator(scene: PolicyScene, app: str) -> None:
    """Whoever creates the pod: the policies ask for whom it is."""
    for who in (MASTER, GOLDEN):
        closed(make(scene, pod(app, "x", "stranger", volumes=[MINE]), **who))
        closed(scene.token(app, "stranger", [ENFORCED], **who))


def test_a_mirror_of_a_static_pod(scene: PolicyScene, app: str) -> None:
    raw = pod(app, "x", None, volumes=[MINE], nodeName="n")
    raw["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    assert make(scene, raw).code in (403, 422), "no mirror pod may hold a token, whose it may be"


def test_a_pod_that_exists_gets_no_volume(scene: PolicyScene, app: str) -> None:
    change = {"spec": {"volumes": [MINE]}}
    kind = "application/strategic-merge-patch+json"
    answer = scene.api.request("PATCH", f"/api/v1/namespaces/{app}/pods/stranger", change, content_type=kind)
    assert answer.code == 422
    assert "may not" in answer.message or "Forbidden" in answer.message


def test_a_pod_that_exists_gets_no_other_service_account(scene: PolicyScene, app: str) -> None:
    kind = "application/strategic-merge-patch+json"
    for field in ("serviceAccountName", "serviceAccount"):
        path = f"/api/v1/namespaces/{app}/pods/stranger"
        answer = scene.api.request("PATCH", path, {"spec": {field: "reader"}}, content_type=kind)
        assert answer.code == 422 or answer.body["spec"]["serviceAccountName"] == "stranger"


def test_a_namespace_that_calls_itself_the_system(scene: PolicyScene, app: str) -> None:
    kind = "application/merge-patch+json"
    labels = {"metadata": {"labels": {
        "kubernetes.io/metadata.name": "kube-system", "apostille.dev/skip": "true", "name": "kube-system",
    }}}  # fmt: skip
    answer = scene.api.request("PATCH", f"/api/v1/namespaces/{app}", labels, content_type=kind)
    assert answer.code in (200, 422)
    assert answer.code == 422 or answer.body["metadata"]["labels"]["kubernetes.io/metadata.name"] == app
    closed(make(scene, pod(app, "x", "stranger", volumes=[MINE])))
    closed(scene.token(app, "stranger", [ENFORCED]))


def test_a_label_on_the_pod(scene: PolicyScene, app: str) -> None:
    raw = pod(app, "x", "stranger", volumes=[MINE])
    raw["metadata"] |= {"labels": {"apostille.dev/injected": "true"}, "annotations": {"apostille.dev/plan": "{}"}}
    closed(make(scene, raw))


def test_a_volume_under_our_name(scene: PolicyScene, app: str) -> None:
    closed(make(scene, pod(app, "x", "stranger", volumes=[{**MINE, "name": "apostille-token-s3"}])))


def test_a_dry_run(scene: PolicyScene, app: str) -> None:
    """It returns a token that works, so that it must not return one."""
    closed(scene.token(app, "stranger", [ENFORCED], dry_run=True))


@pytest.mark.parametrize("kind", ["Secret", "Node"])
def test_a_token_that_is_bound_to_something_else(scene: PolicyScene, app: str, kind: str) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": app}}
    scene.api.ensure(secret)
    answer = scene.token(app, "reader", [ENFORCED], bound={"kind": kind, "apiVersion": "v1", "name": "s"})
    assert answer.code in (403, 404, 422)
    if answer.code == 403:
        closed(answer, "APO502")


def test_an_audience_in_a_very_long_list(scene: PolicyScene, app: str) -> None:
    many = [f"https://a{i}.example" for i in range(1000)]
    closed(scene.token(app, "reader", [*many, ENFORCED]), "APO104")
    assert scene.token(app, "reader", many).code == 201, "a long list of others costs nobody anything"


def test_the_same_audience_twice(scene: PolicyScene, app: str) -> None:
    closed(scene.token(app, "reader", [ENFORCED, ENFORCED]), "APO104")
    closed(scene.token(app, "stranger", [ENFORCED, ENFORCED]), "APO104")


def test_a_key_that_stands_twice_in_the_request(scene: PolicyScene, app: str) -> None:
    """What is judged is what was decoded, whichever of the two that is."""
    free, mine = json.dumps([FREE]), json.dumps([ENFORCED])
    for first, second in ((free, mine), (mine, free)):
        text = (
            '{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"boundObjectRef":{"kind":"Pod",'
            f'"apiVersion":"v1","name":"stranger"}},"audiences":{first},"audiences":{second}}}}}'
        )
        path = f"/api/v1/namespaces/{app}/serviceaccounts/stranger/token"
        answer = scene.api.request("POST", path, text.encode())
        if answer.ok:
            assert answer.body["spec"]["audiences"] == [FREE]
        else:
            closed(answer)


@pytest.mark.parametrize(
    "spelling",
    [ENFORCED.upper(), ENFORCED + "/", ENFORCED + "\u200b", ENFORCED.replace("e", "\u0435", 1), " " + ENFORCED],
)
def test_an_audience_that_only_looks_the_same_is_another_one(scene: PolicyScene, app: str, spelling: str) -> None:
    """It is granted, and it is of no use: every receiver compares byte for byte, and no trust can have it."""
    answer = scene.token(app, "stranger", [spelling])
    assert answer.code == 201
    assert answer.body["spec"]["audiences"] == [spelling] != [ENFORCED]


@pytest.mark.parametrize("mount", [
    {"name": "own", "mountPath": "/t"},
    {"name": "own", "mountPath": "/t", "subPath": "token"},
    {"name": "apostille-token-s3", "mountPath": "/t"},
    {"name": "apostille-credentials-s3", "mountPath": "/t", "subPathExpr": "s3"},
    {"name": "apostille-credentials", "mountPath": "/t"},
], ids=["hand-declared", "sub path", "ours", "credentials", "credentials of an earlier version"])  # fmt: skip
def test_a_debug_container(scene: PolicyScene, app: str, mount: dict[str, str]) -> None:
    volumes = [
        token_volume("own", token_source(ENFORCED)),
        token_volume("apostille-token-s3", token_source(ENFORCED)),
        {"name": "apostille-credentials", "emptyDir": {"medium": "Memory"}},
        {"name": "apostille-credentials-s3", "emptyDir": {"medium": "Memory"}},
        {"name": "work", "emptyDir": {}},
    ]
    scene.api.ensure(pod(app, "debugged", "reader", volumes=volumes))

    def debug(name: str, *mounts: dict[str, str]) -> Answer:
        path = f"/api/v1/namespaces/{app}/pods/debugged/ephemeralcontainers"
        container = {"name": name, "image": "sh", "volumeMounts": list(mounts)}
        kind = "application/strategic-merge-patch+json"
        return scene.api.request("PATCH", path, {"spec": {"ephemeralContainers": [container]}}, content_type=kind)

    answer = debug("thief", mount)
    if "subPath" in mount or "subPathExpr" in mount:
        assert (answer.code, "cannot be set for an Ephemeral Container" in answer.message) == (422, True)
    else:
        closed(answer, "APO504")
    assert debug("d" + mount["name"][-3:] + str(len(mount)), {"name": "work", "mountPath": "/w"}).code == 200


def test_policies_ask_for_equivalent_versions_and_every_object(scene: PolicyScene, app: str) -> None:
    for document in scene.documents:
        if document["kind"] != "ValidatingAdmissionPolicy":
            continue
        stored = scene.api.request("GET", scene.api.path(document)).body["spec"]
        assert stored["failurePolicy"] == "Fail"
        assert stored["matchConstraints"]["matchPolicy"] == "Equivalent"
        assert stored["matchConstraints"]["objectSelector"] == {}
        assert stored["matchConstraints"]["namespaceSelector"] == {}


def test_a_csi_driver_asks_in_the_pods_name(scene: PolicyScene, app: str) -> None:
    """A kubelet's request for CSIDriver.spec.tokenRequests is a token request like any other, bound to the pod."""
    driver = {
        "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": f"{scene.prefix}.csi.example"},
        "spec": {"tokenRequests": [{"audience": ENFORCED}], "volumeLifecycleModes": ["Ephemeral"]},
    }  # fmt: skip
    path = "/apis/storage.k8s.io/v1/csidrivers"
    assert scene.api.request("POST", path, driver).code == 201
    try:
        volumes = [{"name": "v", "csi": {"driver": driver["metadata"]["name"]}}]  # type: ignore[index]
        assert make(scene, pod(app, "x", "stranger", volumes=volumes)).code == 201, "nothing of it stands in the pod"
        closed(scene.token(app, "stranger", [ENFORCED], **MASTER))
        assert scene.token(app, "reader", [ENFORCED], **MASTER).code == 201
    finally:
        scene.api.request("DELETE", f"{path}/{driver['metadata']['name']}")  # type: ignore[index]


def test_what_was_checked_and_then_ended_is_refused_when_the_kubelet_asks(api: PlainClient, scene: PolicyScene) -> None:
    """Time of check and time of use: the pod passed with its grant, the token is asked for after it."""
    where = scene.namespace("toctou")
    protections, others = [Protection(ENFORCED, "Enforce")], [grant(f"{scene.prefix}-app", "reader", ENFORCED)]
    scene.write(protections, [*others, grant(where, "reader", ENFORCED)])
    assert make(scene, pod(where, "x", "reader", volumes=[MINE])).code == 201
    assert scene.token(where, "reader", [ENFORCED]).code == 201

    scene.write(protections, others)

    closed(scene.token(where, "reader", [ENFORCED]))
    closed(make(scene, pod(where, "y", "reader", volumes=[MINE])))


def test_a_namespace_and_an_account_that_come_again_have_only_what_their_names_have(
    api: PlainClient, scene: PolicyScene, app: str
) -> None:
    """A grant is by name: what is open there is in docs/threats.md; a name that was never granted is not."""
    where = f"{scene.prefix}-app-2"
    api.ensure(namespace(where), service_account(where, "reader"), pod(where, "reader", "reader"))
    closed(scene.token(where, "reader", [ENFORCED]))
