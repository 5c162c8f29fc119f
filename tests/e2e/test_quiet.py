"""Where nothing happens nothing is written; what repeats itself is one Event; nothing grows."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from apostille_testbed import control_plane
from apostille_testbed.installation import CONTROLLER
from e2e.one_apply import binding, workload
from e2e.world import World, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

IDLE = 8.0


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with control_plane() as plane, World(plane) as world:
        for name in ("one", "two", "three"):
            world.settle(name)
        until(lambda: all(counted(world, name) == 1 for name in ("one", "two", "three")), "all pods are counted")
        yield world


def counted(world: World, name: str) -> int:
    found = world.get(f"/apis/apostille.dev/v1alpha1/namespaces/{name}/workloadbindings/{name}") or {}
    return int(found["status"]["pods"]["injected"])


def versions(world: World) -> dict[str, str]:
    return {**world.statuses(), **world.generated()}


def events(world: World) -> list[str]:
    found = world.plane.client.request("GET", "/apis/events.k8s.io/v1/events")["items"]
    ours = [event for event in found if event.get("reportingController") == "apostille.dev/controller"]
    return sorted(f"{e['regarding']['kind']} {e['regarding']['name']} {e['reason']} {e['note']}" for e in ours)


def reconciled(world: World, kind: str) -> float:
    (found,) = re.findall(
        rf'apostille_reconciles_total{{kind="{kind}",result="done"}} (\S+)', world.controller("/metrics")[1]
    )
    return float(found)


def test_nothing_is_written_at_idle(world: World) -> None:
    before, said = versions(world), events(world)

    time.sleep(IDLE)  # that nothing is written can only be waited for

    assert versions(world) == before
    assert events(world) == said


def test_a_restart_writes_nothing(world: World) -> None:
    """The next process finds everything as it wants it: no status, no generated object, no Event."""
    before, said = versions(world), events(world)
    assert world.terminate(CONTROLLER) == 0
    world.start_controller()
    until(lambda: world.controller("/readyz")[0] == 200, "it has looked at everything")
    until(lambda: reconciled(world, "binding") >= 3 and reconciled(world, "trust") >= 3, "it has judged everything")

    time.sleep(2)

    assert versions(world) == before
    assert events(world) == said


def test_pods_that_come_and_go_cost_what_they_change(world: World) -> None:
    """Twenty pods of one binding: its counts are written a few times, and nobody else's."""
    before = versions(world)
    world.put(*(workload("Pod", "one", name=f"p-{number}") for number in range(20)))
    until(lambda: counted(world, "one") == 21, "all are counted")
    world.remove(*(workload("Pod", "one", name=f"p-{number}") for number in range(20)))

    changed = {name for name, version in versions(world).items() if before.get(name) != version}
    assert changed == {"WorkloadBinding one one"}


def test_what_repeats_itself_is_said_once(world: World) -> None:
    """A binding that is ended and begun again three times: an Event for each thing there is to say, not each time."""
    until(lambda: world.in_force("two"), "it is in force")
    before = Counter(events(world))
    for _ in range(3):
        suspended = binding("two", "two")
        suspended["spec"]["suspended"] = True
        world.put(suspended)
        until(lambda: world.conditions("workloadbindings", "two", "two").get("Ready") == "Suspended", "it has ended")
        world.put({**binding("two", "two"), "spec": {**binding("two", "two")["spec"], "suspended": False}})
        until(lambda: world.in_force("two"), "it is in force")

    new = Counter(events(world)) - before
    assert sum("Suspended" in event for event in new) == 1
    assert max(new.values()) == 1


def test_probes_and_metrics(world: World) -> None:
    assert world.controller("/livez") == (200, "ok")
    assert world.controller("/readyz") == (200, "ok")
    metrics = world.controller("/metrics")[1]
    for line in ("apostille_leader 1.0", "apostille_admission_reachable 1.0", "apostille_queue_depth 0.0"):
        assert line in metrics
    for collection in ("pods", "generated", "declared"):
        (age,) = re.findall(rf'apostille_watch_silence_seconds{{collection="{collection}"}} (\S+)', metrics)
        assert float(age) < 100
    assert "sts.example" not in metrics
    assert "one" not in re.findall(r'namespace="(\w+)"', metrics)
