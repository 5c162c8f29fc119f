"""Which pods the API server asks about, and what becomes of them when nobody answers (design §4)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from apostille.core import grants, selection
from apostille.core.grants import Protection
from apostille.core.settings import ClusterSettings
from apostille.model.identity import ServiceAccount
from integration.plain_client import Answer, PlainClient, connected, namespace, pod, service_account, until
from integration.webhook_double import Call, WebhookDouble, webhook_double

pytestmark = pytest.mark.integration
OWN = "apostille-system"
PROMPT = 1.5  # seconds; a pod takes some milliseconds, a webhook that is waited for takes its whole timeout


@dataclass
class Scene:
    """``app`` has a bound, an allowed and an undeclared service account; ``other`` has the same names, undeclared."""

    api: PlainClient
    endpoint: WebhookDouble
    settings: ClusterSettings
    app: str
    other: str
    sibling: str
    written: Sequence[dict[str, Any]] = ()

    def write(self, bound: Sequence[ServiceAccount], allowed: Sequence[ServiceAccount]) -> float:
        """Makes the API server hold exactly this selection; returns the seconds until the probe shows it in force."""
        before, self.written = self.written, selection.selection(bound, allowed, self.settings)
        for document in self.written:
            self.api.apply(document)
        kept = {document["metadata"]["name"] for document in self.written}
        for document in before:
            if document["metadata"]["name"] not in kept:
                self.api.delete(document)
        expected = selection.expected_warnings(self.written)
        return until(lambda: expected <= set(self.api.probe(OWN)), f"the probes {expected}")

    def create(self, where: str, account: str | None, name: str = "") -> Answer:
        """Really creates a pod, so that nothing about it is a dry run's."""
        return self.api.create(pod(where, name or f"p-{secrets.token_hex(4)}", account))

    def asked(self, where: str, account: str | None) -> list[str]:
        """The paths under which the endpoint was asked about a new pod."""
        name = f"p-{secrets.token_hex(4)}"
        answer = self.create(where, account, name)
        assert answer.ok, answer.message
        return [call.path for call in self.endpoint.calls if call == Call(call.path, where, name)]


@pytest.fixture(scope="module")
def scene(control_plane: Any) -> Iterator[Scene]:
    prefix = f"sel-{secrets.token_hex(3)}"
    with connected(control_plane.kubeconfig) as api, webhook_double() as endpoint:
        settings = ClusterSettings(OWN, {"url": endpoint.url}, endpoint.ca_bundle)
        scene = Scene(api, endpoint, settings, f"{prefix}-app", f"{prefix}-other", f"{prefix}-app-2")
        api.ensure(namespace(OWN))
        for where in (scene.app, scene.other, scene.sibling):
            api.ensure(namespace(where))
            api.ensure(*(service_account(where, name) for name in ("bound", "allowed", "stranger", "default")))
        try:
            yield scene
        finally:
            endpoint.die()
            for document in scene.written:
                api.delete(document)


@pytest.fixture
def selected(scene: Scene) -> Iterator[Scene]:
    """The usual selection, a living endpoint, and no calls yet."""
    scene.endpoint.live()
    scene.write(
        [ServiceAccount(scene.app, "bound"), ServiceAccount(scene.sibling, "bound")],
        # As in a trust's allow list, the bound pair is among the allowed.
        [ServiceAccount(scene.app, "allowed"), ServiceAccount(scene.app, "bound")],
    )
    scene.endpoint.calls.clear()
    yield scene
    scene.endpoint.live()


def test_bound_and_allowed_pods_are_asked_about_each_at_its_own_path(selected: Scene) -> None:
    assert set(selected.asked(selected.app, "bound")) == {"/mutate"}
    assert set(selected.asked(selected.app, "allowed")) == {"/mutate/allowed"}
    assert set(selected.asked(selected.sibling, "bound")) == {"/mutate"}


def test_nothing_is_called_elsewhere(selected: Scene) -> None:
    """Another service account, one of the same name in another namespace, none at all, and no cross products."""
    elsewhere = [
        (selected.app, "stranger"),
        (selected.app, "default"),
        (selected.app, None),
        (selected.sibling, "allowed"),
        (selected.sibling, None),
        (selected.other, "bound"),
        (selected.other, "allowed"),
        (selected.other, None),
    ]

    assert [selected.asked(*pair) for pair in elsewhere] == [[]] * len(elsewhere)
    assert selected.endpoint.calls == []


def test_only_creation_of_pods_is_asked_about(selected: Scene) -> None:
    name = f"p-{secrets.token_hex(4)}"
    assert selected.create(selected.app, "bound", name).ok
    selected.endpoint.calls.clear()

    path = f"/api/v1/namespaces/{selected.app}/pods/{name}"
    patched = selected.api.request(
        "PATCH", path, {"metadata": {"labels": {"a": "b"}}}, content_type="application/merge-patch+json"
    )
    deleted = selected.api.request("DELETE", path + "?gracePeriodSeconds=0")

    assert (patched.code, deleted.code) == (200, 200)
    assert selected.endpoint.calls == []


def test_a_pod_may_name_its_account_by_the_deprecated_field(selected: Scene) -> None:
    """`spec.serviceAccount` is still read by the API server, so it must not be a way around."""
    made = pod(selected.app, f"p-{secrets.token_hex(4)}", None, serviceAccount="bound")

    assert selected.api.create(made).ok
    assert {call.path for call in selected.endpoint.calls} == {"/mutate"}


def test_the_default_account_can_be_selected_though_the_pod_omits_it(scene: Scene) -> None:
    """The rules refuse `default`; the selection itself does not rest on that."""
    scene.write([ServiceAccount(scene.app, "default")], [])
    scene.endpoint.calls.clear()

    assert set(scene.asked(scene.app, None)) == {"/mutate"}


def test_a_changed_selection_is_in_force_when_its_probe_answers(scene: Scene) -> None:
    pair = ServiceAccount(scene.other, "bound")
    took = []
    for bound, paths in (([], set()), ([pair], {"/mutate"}), ([], set())):
        took.append(scene.write(bound, [ServiceAccount(scene.app, "allowed")]))
        assert set(scene.asked(*pair)) == paths

    assert max(took) < 30


def test_shards_of_namespaces_select_as_one(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "SHARD_CODE_POINTS", 1)
    scene.write(
        [ServiceAccount(scene.app, "bound"), ServiceAccount(scene.other, "bound")],
        [ServiceAccount(scene.app, "allowed")],
    )

    assert len(scene.written) == 2
    assert set(scene.asked(scene.app, "bound")) == {"/mutate"}
    assert set(scene.asked(scene.other, "bound")) == {"/mutate"}
    assert set(scene.asked(scene.app, "allowed")) == {"/mutate/allowed"}
    assert scene.asked(scene.sibling, "bound") == []


def test_probes_of_selection_and_policies_answer_each_for_their_own(selected: Scene) -> None:
    policies = grants.policies([Protection("https://probed.example", "Enforce")], [], selected.settings)
    expected = grants.expected_warnings(policies)
    try:
        for document in policies:
            selected.api.apply(document)

        def answered() -> bool:
            # Policies that another test has just deleted may still answer beside them, for a moment.
            heard = " ".join(selected.api.probe(OWN, "apostille-probe-0"))
            return all(warning in heard for warning in expected)

        until(answered, f"{expected}")

        assert selection.expected_warnings(selected.written) == set(selected.api.probe(OWN))
    finally:
        for document in policies:
            selected.api.delete(document)


def test_a_dead_endpoint_refuses_the_bound_and_holds_up_nobody_else(selected: Scene) -> None:
    selected.endpoint.die()

    elsewhere = selected.create(selected.app, "stranger")
    allowed = selected.create(selected.app, "allowed")
    bound = selected.create(selected.app, "bound")

    assert elsewhere.ok
    assert elsewhere.seconds < PROMPT
    assert allowed.ok
    assert allowed.seconds < PROMPT
    assert bound.code == 500
    assert 'failed calling webhook "bound-workloads.apostille.dev"' in bound.message
    assert "connection refused" in bound.message
    assert not selection.expected_warnings(selected.written) & set(selected.api.probe(OWN))


def test_a_hanging_endpoint_holds_up_the_allowed_for_its_timeout_and_elsewhere_not_at_all(selected: Scene) -> None:
    selected.endpoint.hang()

    elsewhere = selected.create(selected.app, "stranger")
    neighbour = selected.create(selected.other, "allowed")
    allowed = selected.create(selected.app, "allowed")

    assert elsewhere.ok
    assert elsewhere.seconds < PROMPT
    assert neighbour.ok
    assert neighbour.seconds < PROMPT
    assert allowed.ok
    assert allowed.seconds < selection.ALLOWED_TIMEOUT + PROMPT
    assert allowed.seconds > PROMPT, "the endpoint was not asked at all"


def test_kubectl_says_which_webhook_did_not_answer(selected: Scene, control_plane: Any) -> None:
    selected.endpoint.die()

    shown = control_plane.kubectl(
        "run", "lonely", "-n", selected.app, "--image=app", '--overrides={"spec": {"serviceAccountName": "bound"}}',
        check=False,
    )  # fmt: skip

    assert shown.returncode != 0
    assert 'failed calling webhook "bound-workloads.apostille.dev"' in shown.stderr
