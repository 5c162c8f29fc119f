"""Trust, binding and workload in one `kubectl apply`, under Enforce: never a pod without its identity."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from apostille_testbed import ControlPlane, Installation
from apostille_testbed import control_plane as start_control_plane
from e2e.one_apply import CONTAINERS, Outcomes, Workload, apply, binding, namespace, pods_of, trust, workload
from integration.cluster import injected

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

TIMES, AT_ONCE = 24, 4
WORKLOADS: Sequence[Workload] = ("Pod", "Pod", "ReplicaSet", "Job")


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with start_control_plane(controller_manager=True) as plane, Installation(plane, quick=True):
        yield plane


def all_at_once(times: int, turn: Callable[[int, Outcomes], None]) -> Outcomes:
    """Runs the turns in threads and adds up what they found."""
    outcomes = Outcomes()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda number: turn(number, outcomes), range(times)))
    return outcomes


@pytest.mark.parametrize("times", [TIMES, pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])])
def test_many_times_no_pod_without_its_identity(plane: ControlPlane, times: int) -> None:
    """Fresh names each time; half of the pods are made by controllers, which come again after a refusal."""
    mark = f"apply-{times}"

    def turn(number: int, outcomes: Outcomes) -> None:
        name, kind = f"{mark}-{number}", WORKLOADS[number % len(WORKLOADS)]
        documents = [*namespace(name, "app"), trust(name, (name, "app")), binding(name, name), workload(kind, name)]
        apply(plane, documents, outcomes)

    outcomes = all_at_once(times, turn)

    print(f"\n{times} times, {AT_ONCE} at once: {outcomes}")
    assert outcomes.without == []
    assert outcomes.other == []
    assert len(outcomes.at_first) + len(outcomes.after_refusal) == times
    # Whatever else came meanwhile: controllers may have made more than one.
    of_turns = [pod for pod in pods_of(plane) if pod["metadata"]["namespace"].startswith(f"{mark}-")]
    assert len(of_turns) >= times
    assert [pod["metadata"]["namespace"] for pod in of_turns if not injected(pod)] == []


def test_a_trust_that_comes_to_allow_it_in_the_same_breath(plane: ControlPlane) -> None:
    """The trust is there and known; the apply extends it, binds under it and starts the pod."""
    known = f"grows-{secrets.token_hex(3)}"
    allowed = [(f"{known}-first", "app")]
    growing = threading.Lock()
    plane.kubectl("apply", "-f", "-", input=_text(namespace(f"{known}-first", "app")))

    def turn(number: int, outcomes: Outcomes) -> None:
        name = f"{known}-{number}"
        with growing:  # two that extend one list at once would undo each other
            allowed.append((name, "app"))
            apply(
                plane,
                [*namespace(name, "app"), trust(known, *allowed), binding(name, known), workload("Pod", name)],
                outcomes,
            )

    outcomes = all_at_once(12, turn)

    print(f"\na trust extended 12 times: {outcomes}")
    assert (outcomes.without, outcomes.other) == ([], [])


def test_a_pod_has_all_of_the_identities_that_came_with_it(plane: ControlPlane) -> None:
    """Two trusts and two bindings of one service account, each for a container: half of them would be a pod without."""
    mark = f"two-{secrets.token_hex(3)}"

    def turn(number: int, outcomes: Outcomes) -> None:
        name = f"{mark}-{number}"
        both = (f"{name}-a", f"{name}-b")
        bindings = [binding(name, one) for one in both]
        for one, container in zip(bindings, CONTAINERS, strict=True):
            one["spec"]["delivery"] = {"containers": {"include": [container["name"]]}}
        trusts = [trust(one, (name, "app")) for one in both]
        apply(plane, [*namespace(name, "app"), *trusts, *bindings, workload("Pod", name)], outcomes)
        volumes = {volume["name"] for pod in pods_of(plane, name) for volume in pod["spec"]["volumes"]}
        if not {f"apostille-token-{one}" for one in both} <= volumes:
            outcomes.without.append(f"{name} has {sorted(volumes)}")

    outcomes = all_at_once(12, turn)

    print(f"\ntwo bindings 12 times: {outcomes}")
    assert (outcomes.without, outcomes.other) == ([], [])


def _text(documents: Sequence[object]) -> str:
    return "\n---\n".join(json.dumps(document) for document in documents)
