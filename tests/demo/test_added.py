"""What was added to a pod between applying and storing it: in its place, without the servers' defaults."""

from __future__ import annotations

from typing import Any

from apostille_demo.added import added, hidden

APPLIED: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "app", "namespace": "payments"},
    "spec": {
        "serviceAccountName": "reader",
        "containers": [{"name": "app", "image": "i", "command": ["sleep", "1"]}, {"name": "other", "image": "o"}],
    },
}
DEFAULTS = {"imagePullPolicy": "IfNotPresent", "resources": {}, "terminationMessagePath": "/dev/termination-log"}
API_TOKEN = {"name": "kube-api-access-x7k2p", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}


def stored(**container: Any) -> dict[str, Any]:
    """The pod as the API server has it, with more in its first container."""
    metadata = {
        **APPLIED["metadata"],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
        "uid": "1",
        "resourceVersion": "7",
    }
    first, second = APPLIED["spec"]["containers"]
    spec = {
        **APPLIED["spec"],
        "containers": [
            {**first, **DEFAULTS, "volumeMounts": [API_TOKEN, *container.pop("volumeMounts", [])], **container},
            {**second, **DEFAULTS, "volumeMounts": [API_TOKEN]},
        ],
        "volumes": [{"name": "kube-api-access-x7k2p", "projected": {}}],
        "dnsPolicy": "ClusterFirst",
        "tolerations": [{"key": "node.kubernetes.io/not-ready"}],
    }
    return {**APPLIED, "metadata": metadata, "spec": spec, "status": {"phase": "Running"}}


def test_what_servers_add_to_every_pod_is_not_shown_but_counted() -> None:
    pod = stored()

    assert added(APPLIED, pod) == []
    assert hidden(APPLIED, pod) == 22


def test_additions_are_marked_and_their_place_is_shown() -> None:
    pod = stored(env=[{"value": "v", "name": "AWS_ROLE_ARN"}], volumeMounts=[{"mountPath": "/t", "name": "token"}])
    pod["metadata"]["annotations"]["apostille.dev/plan"] = "{}"
    pod["spec"]["volumes"].append({"name": "token", "emptyDir": {"medium": "Memory"}})

    assert added(APPLIED, pod) == [
        "  metadata:",
        "+   annotations:",
        "+     apostille.dev/plan: '{}'",
        "  spec:",
        "    containers:",
        "    - name: app",
        "+     volumeMounts:",
        "+     - name: token",
        "+       mountPath: /t",
        "+     env:",
        "+     - name: AWS_ROLE_ARN",
        "+       value: v",
        "+   volumes:",
        "+   - name: token",
        "+     emptyDir:",
        "+       medium: Memory",
    ]


def test_a_changed_value_shows_as_added_and_a_new_list_item_beside_known_ones() -> None:
    pod = stored(image="another", command=["sleep", "1", "2"])

    assert added(APPLIED, pod) == [
        "  spec:",
        "    containers:",
        "    - name: app",
        "+     image: another",
        "      command:",
        "+     - '2'",
    ]


def test_the_content_of_folded_keys_is_a_mark() -> None:
    pod = stored()
    pod["spec"]["initContainers"] = [{"image": "x", "name": "side", "resources": {"limits": {"memory": "64Mi"}}}]

    assert added(APPLIED, pod, fold=["resources"]) == [
        "  spec:",
        "+   initContainers:",
        "+   - name: side",
        "+     image: x",
        "+     resources: …",
    ]
