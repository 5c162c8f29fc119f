"""What the API server itself refuses while policies are in force (design §5.2), user by user and pod by pod."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from apostille.core.grants import Protection
from integration.plain_client import Answer, PlainClient, connected, namespace, pod, service_account
from integration.policy_scene import (
    AUDITED,
    ENFORCED,
    FREE,
    OWN,
    WARNED,
    PolicyScene,
    grant,
    policy_scene,
    token_source,
    token_volume,
)

pytestmark = pytest.mark.integration
CEILING = 7200
NODE = "policy-test-node"


@dataclass(frozen=True)
class Places:
    app: str
    neighbour: str
    spared: str


@pytest.fixture(scope="module")
def api(control_plane: Any) -> Iterator[PlainClient]:
    with connected(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture(scope="module")
def scene(api: PlainClient) -> Iterator[PolicyScene]:
    with policy_scene(api) as scene:
        yield scene


@pytest.fixture(scope="module")
def places(scene: PolicyScene) -> Places:
    """``reader`` of ``app`` is granted, nobody else is; the system's namespaces hold a pod that wants the same."""
    places = Places(scene.namespace("app"), scene.namespace("neighbour"), scene.namespace("spared"))
    for system in ("kube-system", OWN):
        scene.populate(system)
    for where in (places.app, places.neighbour, places.spared):
        _let_developers(scene.api, where)
    scene.api.ensure(_debuggable(places.app))
    scene.write(
        [Protection(ENFORCED, "Enforce", (places.spared,)), Protection(WARNED, "Warn"), Protection(AUDITED, "Audit")],
        [grant(places.app, "reader", audience, CEILING) for audience in (ENFORCED, WARNED, AUDITED)],
    )
    return places


def _let_developers(api: PlainClient, where: str) -> None:
    """The group that the table speaks for: rights on pods and tokens in one namespace, as `edit` gives them."""
    api.ensure(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "developer", "namespace": where},
            "rules": [
                {"apiGroups": [""], "resources": ["pods", "pods/ephemeralcontainers", "serviceaccounts/token"],
                 "verbs": ["get", "create", "patch"]}
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "developers", "namespace": where},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "developer"},
            "subjects": [
                {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
                for user in ("dev", f"system:node:{NODE}")
            ],
        },
    )  # fmt: skip


def _debuggable(where: str) -> dict[str, Any]:
    """As injection leaves it: our volume is there, and the app mounts it."""
    volume = "apostille-token-s3-reader"
    container = {"name": "app", "image": "app", "volumeMounts": [{"name": volume, "mountPath": "/var/run/token"}]}
    return pod(
        where, "debuggable", "reader", containers=[container], volumes=[token_volume(volume, token_source(ENFORCED))]
    )


DEVELOPER: dict[str, Any] = {"user": "dev"}
KUBELET: dict[str, Any] = {"user": f"system:node:{NODE}", "groups": ["system:nodes"]}
ADMIN: dict[str, Any] = {}


def refused(kind: str, name: str, policy: str, message: str) -> str:
    return (
        f"{kind} \"{name}\" is forbidden: ValidatingAdmissionPolicy '{policy}' with binding '{policy}' "
        f"denied request: {message}"
    )


def ungranted(account: str, where: str, audience: str = ENFORCED) -> str:
    return (
        f"spec.audiences: no live WorkloadBinding grants service account {account} of namespace {where} tokens for "
        f"audience {audience}; declare one, or see why it ended: kubectl get wbind -n {where} [APO501]"
    )


def assert_untouched(answers: Mapping[str, Answer]) -> None:
    got = {name: (answer.code, answer.message, answer.warnings) for name, answer in answers.items()}
    assert got == dict.fromkeys(answers, (201, "", ()))


UNBOUND = (
    f"spec.boundObjectRef: a token for audience {ENFORCED} must be bound to a Pod, so that it ends with it [APO502]"
)
ALONE = (
    f"spec.audiences: {ENFORCED} must be requested alone, not beside other audiences: each receiver could replay the "
    "token to the others [APO104]"
)

REFUSED_TOKENS: dict[str, tuple[str, list[str], dict[str, Any], str]] = {
    "no grant": ("stranger", [ENFORCED], {}, ungranted("stranger", "APP")),
    "no grant, and asked for by the default account": ("default", [ENFORCED], {}, ungranted("default", "APP")),
    "no grant, as a dry run, which returns a real token": (
        "stranger", [ENFORCED], {"dry_run": True}, ungranted("stranger", "APP"),
    ),
    "not bound to a pod": ("reader", [ENFORCED], {"bound": "not"}, UNBOUND),
    "bound to null": ("reader", [ENFORCED], {"bound": None}, UNBOUND),
    "bound to a Secret": (
        "reader", [ENFORCED], {"bound": {"kind": "Secret", "apiVersion": "v1", "name": "any"}}, UNBOUND,
    ),
    "bound to a Node": ("reader", [ENFORCED], {"bound": {"kind": "Node", "apiVersion": "v1", "name": NODE}}, UNBOUND),
    "longer than the ceiling": (
        "reader", [ENFORCED], {"seconds": CEILING + 1},
        f"spec.expirationSeconds: {CEILING + 1} is over the {CEILING} seconds that are granted to service account "
        f"reader of namespace APP for audience {ENFORCED} [APO503]",
    ),
    "two audiences": ("reader", [ENFORCED, FREE], {}, ALONE),
    "two audiences, the other first": ("reader", [FREE, ENFORCED], {}, ALONE),
}  # fmt: skip


@pytest.mark.parametrize("who", [DEVELOPER, ADMIN], ids=["developer", "cluster-admin"])
@pytest.mark.parametrize("case", REFUSED_TOKENS)
def test_a_token_request_is_refused(scene: PolicyScene, places: Places, case: str, who: dict[str, Any]) -> None:
    account, audiences, options, message = REFUSED_TOKENS[case]

    answer = scene.token(places.app, account, audiences, **options, **who)

    message = message.replace("APP", places.app)
    assert answer.code == 403
    assert answer.message == refused("serviceaccounts", account, "apostille-tokens-enforce-0", message)


def test_the_same_service_account_of_another_namespace_has_no_grant(scene: PolicyScene, places: Places) -> None:
    answer = scene.token(places.neighbour, "reader", [ENFORCED], **DEVELOPER)

    assert ungranted("reader", places.neighbour) in answer.message


@pytest.mark.parametrize("who", [DEVELOPER, ADMIN, KUBELET], ids=["developer", "cluster-admin", "kubelet"])
@pytest.mark.parametrize("seconds", [600, CEILING, None], ids=["short", "at the ceiling", "by default"])
def test_a_granted_token_is_issued(
    scene: PolicyScene, places: Places, who: dict[str, Any], seconds: int | None
) -> None:
    account = "reader"
    bound: Any = ""
    if who is KUBELET:
        # A node may ask only for pods on it that project this audience (NodeRestriction).
        on_node = _debuggable(places.app)
        on_node["metadata"]["name"] = "on-node"
        on_node["spec"]["nodeName"] = NODE
        scene.api.ensure(on_node)
        uid = scene.api.request("GET", f"/api/v1/namespaces/{places.app}/pods/on-node").body["metadata"]["uid"]
        bound = {"kind": "Pod", "apiVersion": "v1", "name": "on-node", "uid": uid}

    answer = scene.token(places.app, account, [ENFORCED], seconds=seconds, bound=bound, **who)

    assert answer.code == 201, answer.message
    assert not answer.warnings


def test_what_is_none_of_our_business_is_left_alone(scene: PolicyScene, places: Places) -> None:
    loose: dict[str, Any] = {"bound": "not", "seconds": 86400}
    innocent = {
        "the API server's own audience": scene.token(places.app, "stranger", [], **loose, **DEVELOPER),
        "another audience": scene.token(places.app, "stranger", [FREE], **loose, **DEVELOPER),
        "two other audiences": scene.token(places.app, "stranger", [FREE, FREE + "/b"], **loose, **DEVELOPER),
        "another spelling": scene.token(places.app, "stranger", [ENFORCED + "/"], **loose, **DEVELOPER),
        "a spared namespace": scene.token(places.spared, "stranger", [ENFORCED], **loose, **DEVELOPER),
        "kube-system": scene.token("kube-system", "stranger", [ENFORCED], **loose),
        "Apostille's own namespace": scene.token(OWN, "stranger", [ENFORCED], **loose),
        "an audited audience": scene.token(places.app, "stranger", [AUDITED], **loose, **DEVELOPER),
    }

    assert_untouched(innocent)


def test_warn_lets_the_request_pass_and_says_why_it_will_not_always(scene: PolicyScene, places: Places) -> None:
    answer = scene.token(places.app, "stranger", [WARNED], **DEVELOPER)

    assert answer.code == 201
    assert answer.warnings == (
        "Validation failed for ValidatingAdmissionPolicy 'apostille-tokens-warn-0' with binding "
        f"'apostille-tokens-warn-0': {ungranted('stranger', places.app, WARNED)}",
    )
    assert not scene.token(places.app, "reader", [WARNED], **DEVELOPER).warnings


def _volume(problem: str) -> str:
    return f"spec.volumes: volume mine {problem}"


def _no_binding(account: str) -> str:
    return _volume(
        f"projects a token that no live WorkloadBinding grants to service account {account} of namespace APP; declare "
        "a binding and leave the volume to Apostille, or remove it [APO501]"
    )


_FINE = token_volume("fine", token_source(ENFORCED))
_TOO_LONG = _volume(
    "asks for a longer token than is granted to service account reader of namespace APP; lower expirationSeconds "
    "[APO503]"
)
_BESIDE = _volume(
    "projects a token for a protected audience beside others; give each token a volume of its own [APO104]"
)
REFUSED_PODS: dict[str, tuple[str | None, list[dict[str, Any]], str]] = {
    "no grant": ("stranger", [token_volume("mine", token_source(ENFORCED))], _no_binding("stranger")),
    "no grant, without expirationSeconds": (
        "stranger", [token_volume("mine", token_source(ENFORCED, None))], _no_binding("stranger"),
    ),
    "no serviceAccountName, which is `default`": (
        None, [token_volume("mine", token_source(ENFORCED))], _no_binding("default"),
    ),
    "no grant, behind other volumes": (
        "stranger",
        [{"name": "work", "emptyDir": {}}, token_volume("free", token_source(FREE)),
         token_volume("mine", token_source(ENFORCED))],
        _no_binding("stranger"),
    ),
    "beside another audience": (
        "reader", [_FINE, token_volume("mine", token_source(ENFORCED), token_source(FREE) | {})], _BESIDE,
    ),
    "beside the API server's audience": (
        "reader", [_FINE, token_volume("mine", token_source(None), token_source(ENFORCED))], _BESIDE,
    ),
    "too long": ("reader", [_FINE, token_volume("mine", token_source(ENFORCED, CEILING + 1))], _TOO_LONG),
}  # fmt: skip


def _dry_pod(scene: PolicyScene, where: str, account: str | None, volumes: list[dict[str, Any]], **who: Any) -> Answer:
    volumes = [_distinct_paths(volume) for volume in volumes]
    return scene.api.create(pod(where, "hand-made", account, volumes=volumes), dry_run=True, **who)


def _distinct_paths(volume: dict[str, Any]) -> dict[str, Any]:
    sources = volume.get("projected", {}).get("sources", [])
    named = [{"serviceAccountToken": {**s["serviceAccountToken"], "path": f"token-{i}"}} for i, s in enumerate(sources)]
    return {**volume, "projected": {"sources": named}} if named else volume


@pytest.mark.parametrize("case", REFUSED_PODS)
def test_a_hand_made_volume_is_refused(scene: PolicyScene, places: Places, case: str) -> None:
    account, volumes, message = REFUSED_PODS[case]

    answer = _dry_pod(scene, places.app, account, volumes, **DEVELOPER)

    assert answer.code == 403
    message = message.replace("APP", places.app)
    assert answer.message == refused("pods", "hand-made", "apostille-pods-enforce-0", message)


def test_other_pods_are_created(scene: PolicyScene, places: Places) -> None:
    mine = [token_volume("mine", token_source(ENFORCED, 86400))]
    innocent = {
        "granted": _dry_pod(scene, places.app, "reader", [_FINE], **DEVELOPER),
        "granted, at the ceiling": _dry_pod(
            scene, places.app, "reader", [token_volume("v", token_source(ENFORCED, CEILING))], **DEVELOPER
        ),
        "granted twice": _dry_pod(
            scene, places.app, "reader", [_FINE, token_volume("b", token_source(ENFORCED))], **DEVELOPER
        ),
        "granted, without expirationSeconds": _dry_pod(
            scene, places.app, "reader", [token_volume("v", token_source(ENFORCED, None))], **DEVELOPER
        ),
        "no volumes": _dry_pod(scene, places.app, "stranger", [], **DEVELOPER),
        "no projected volumes": _dry_pod(
            scene, places.app, "stranger", [{"name": "work", "emptyDir": {}}], **DEVELOPER
        ),
        "several other audiences": _dry_pod(
            scene, places.app, "stranger", [token_volume("v", token_source(FREE), token_source(None))], **DEVELOPER
        ),
        "a spared namespace": _dry_pod(scene, places.spared, "stranger", mine, **DEVELOPER),
        "kube-system": _dry_pod(scene, "kube-system", "stranger", mine),
        "Apostille's own namespace": _dry_pod(scene, OWN, "stranger", mine),
        "an audited audience": _dry_pod(
            scene, places.app, "stranger", [token_volume("v", token_source(AUDITED, 86400))], **DEVELOPER
        ),
    }

    assert_untouched(innocent)


def test_warn_lets_the_pod_pass_and_names_the_volume(scene: PolicyScene, places: Places) -> None:
    answer = _dry_pod(scene, places.app, "stranger", [token_volume("mine", token_source(WARNED))], **DEVELOPER)

    assert answer.code == 201
    assert answer.warnings == (
        "Validation failed for ValidatingAdmissionPolicy 'apostille-pods-warn-0' with binding 'apostille-pods-warn-0': "
        + _no_binding("stranger").replace("APP", places.app),
    )


DEBUG_REFUSED = (
    "spec.ephemeralContainers: a debug container may not mount the volumes of a workload identity; leave out its "
    "volumeMounts [APO504]"
)


def _debug(scene: PolicyScene, where: str, name: str, mounts: list[dict[str, str]]) -> Answer:
    container = {"name": name, "image": "busybox"} | ({"volumeMounts": mounts} if mounts else {})
    return scene.api.request(
        "PATCH",
        f"/api/v1/namespaces/{where}/pods/debuggable/ephemeralcontainers",
        {"spec": {"ephemeralContainers": [container]}},
        content_type="application/strategic-merge-patch+json",
        **DEVELOPER,
    )


def test_a_debug_container_may_not_mount_the_identity(scene: PolicyScene, places: Places) -> None:
    mount = {"name": "apostille-token-s3-reader", "mountPath": "/stolen"}

    answer = _debug(scene, places.app, "thief", [mount])

    assert answer.code == 403
    assert answer.message == refused("pods", "debuggable", "apostille-debug", DEBUG_REFUSED)


def test_a_debug_container_without_it_is_fine(scene: PolicyScene, places: Places) -> None:
    answer = _debug(scene, places.app, "debugger", [])

    assert answer.code == 200, answer.message


def test_kubectl_shows_field_and_remedy(scene: PolicyScene, places: Places, control_plane: Any) -> None:
    def kubectl(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        result: subprocess.CompletedProcess[str] = control_plane.kubectl(*arguments, check=False, **options)
        return result

    token = kubectl("create", "token", "stranger", "-n", places.app, "--audience", ENFORCED)
    warned = kubectl("create", "token", "stranger", "-n", places.app, "--audience", WARNED, "--bound-object-kind=Pod",
                     "--bound-object-name=stranger")  # fmt: skip

    message = refused("serviceaccounts", "stranger", "apostille-tokens-enforce-0", ungranted("stranger", places.app))
    assert token.returncode != 0
    assert token.stderr.strip() == f"error: failed to create token: {message}"
    assert warned.returncode == 0
    assert ungranted("stranger", places.app, WARNED) in warned.stderr


def test_a_namespace_that_never_heard_of_apostille_works_as_before(scene: PolicyScene, places: Places) -> None:
    """A policy that fails closed on an expression that does not compile would refuse everything, everywhere."""
    where = f"{scene.prefix}-innocent"
    scene.api.ensure(namespace(where), service_account(where, "any"), pod(where, "any", "any"))

    answer = scene.token(where, "any", ["https://some.vault.example"], **ADMIN)

    assert answer.code == 201, answer.message
