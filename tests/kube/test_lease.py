"""Leader election: never two at once, soon another when one is gone, at once when it says so."""

from __future__ import annotations

import asyncio
import random

import pytest

from api_double import ApiDouble
from apostille.kube.client import ApiError
from apostille.kube.lease import DURATION, RELEASE_SECONDS, RENEW, RETRY, Lease, LeaseLost
from jumping_loop import in_no_time, now

PATH = "/apis/coordination.k8s.io/v1/namespaces/own/leases/lead"


def lease(api: ApiDouble, identity: str) -> Lease:
    return Lease(api, "own", "lead", identity)  # type: ignore[arg-type]


def fails(verb: str, path: str) -> None:
    raise ApiError(503, "", "etcd is away")


@in_no_time
async def test_the_first_one_leads_at_once() -> None:
    api = ApiDouble()
    one = lease(api, "one")

    await one.acquire()

    assert one.held
    assert now() < 1
    assert api.objects[PATH]["spec"]["holderIdentity"] == "one"


@in_no_time
async def test_another_takes_over_when_the_record_stays_unchanged_for_its_duration() -> None:
    api = ApiDouble()
    one, two = lease(api, "one"), lease(api, "two")
    await one.acquire()  # and dies

    await two.acquire()

    assert DURATION <= now() <= DURATION + 2 * RETRY
    assert api.objects[PATH]["spec"]["leaseTransitions"] == 1
    with pytest.raises(LeaseLost):
        one.check()


@in_no_time
async def test_nobody_takes_over_from_one_who_renews() -> None:
    api = ApiDouble()
    one, two = lease(api, "one"), lease(api, "two")
    await one.acquire()
    holding, waiting = asyncio.create_task(one.hold()), asyncio.create_task(two.acquire())

    await asyncio.sleep(600)

    assert one.held
    assert not holding.done()
    assert not waiting.done()


@in_no_time
async def test_a_released_lease_is_taken_at_once() -> None:
    api = ApiDouble()
    one, two = lease(api, "one"), lease(api, "two")
    await one.acquire()
    waiting = asyncio.create_task(two.acquire())
    await asyncio.sleep(1)

    await one.release()
    await waiting

    assert now() <= 1 + 2 * RETRY
    assert not one.held


@in_no_time
async def test_a_released_lease_is_not_taken_back_by_a_renewal() -> None:
    api = ApiDouble()
    one = lease(api, "one")
    await one.acquire()
    holding = asyncio.create_task(one.hold())
    await asyncio.sleep(RETRY + 0.0005)  # a renewal is under way

    await one.release()

    with pytest.raises(LeaseLost):
        await holding
    assert api.objects[PATH]["spec"]["holderIdentity"] == ""


@pytest.mark.parametrize("verb", ["get", "replace"])
@in_no_time
async def test_an_api_server_that_hangs_does_not_hold_up_the_end(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The grace period of a pod is 30 seconds, of which others need some."""
    api = ApiDouble()
    one = lease(api, "one")
    await one.acquire()

    async def hangs(*_: object) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(api, verb, hangs)
    began = now()
    await one.release()

    assert now() - began <= RELEASE_SECONDS + 0.01
    with pytest.raises(LeaseLost):
        one.check()


@in_no_time
async def test_a_short_outage_costs_nothing() -> None:
    api = ApiDouble()
    one = lease(api, "one")
    await one.acquire()
    holding = asyncio.create_task(one.hold())
    api.fail = fails
    await asyncio.sleep(RENEW - 2 * RETRY)
    api.fail = lambda verb, path: None

    await asyncio.sleep(60)

    assert one.held
    assert not holding.done()


@in_no_time
async def test_who_cannot_renew_stops_before_another_may_start() -> None:
    api = ApiDouble()
    one = lease(api, "one")
    await one.acquire()
    api.fail = fails

    with pytest.raises(LeaseLost, match="etcd is away"):
        await one.hold()

    assert RENEW - RETRY <= now() <= RENEW + RETRY < DURATION


@in_no_time
async def test_a_request_that_hangs_does_not_outlive_the_lease() -> None:
    api = ApiDouble()
    one = lease(api, "one")
    await one.acquire()

    async def hang(*_: object) -> dict[str, object]:
        await asyncio.sleep(3600)
        return {}

    api.get = hang  # type: ignore[assignment]
    with pytest.raises(LeaseLost, match="hangs"):
        await one.hold()

    assert now() <= RENEW + 0.1


@in_no_time
async def test_one_that_stood_still_does_not_lead_when_it_goes_on() -> None:
    """A process that was stopped for a while has no task of its own that would have told it."""
    api = ApiDouble()
    one, two = lease(api, "one"), lease(api, "two")
    await one.acquire()
    await two.acquire()  # 15 seconds later

    with pytest.raises(LeaseLost):
        one.check()
    with pytest.raises(LeaseLost):
        await one.hold()


@in_no_time
async def test_the_same_identity_goes_on_at_once() -> None:
    """A container that starts again in its pod: the process before it is surely gone."""
    api = ApiDouble()
    await lease(api, "pod-1").acquire()
    began = now()

    await lease(api, "pod-1").acquire()

    assert now() - began < 1


@in_no_time
async def test_a_deleted_lease_is_made_again() -> None:
    api = ApiDouble()
    one = lease(api, "one")
    await one.acquire()
    holding = asyncio.create_task(one.hold())
    del api.objects[PATH]

    await asyncio.sleep(3 * RETRY)

    assert one.held
    assert not holding.done()
    assert PATH in api.objects


@pytest.mark.parametrize("seed", range(8))
@in_no_time
async def test_never_two_at_once(seed: int) -> None:
    """Three processes and an API server that fails at random and for minutes."""
    api, chance = ApiDouble(), random.Random(seed)  # noqa: S311 - repeatable
    leases = [lease(api, name) for name in ("one", "two", "three")]
    bad = {"until": 0.0}

    def fail(verb: str, path: str) -> None:
        if now() < bad["until"] or chance.random() < 0.2:
            raise ApiError(0, "", "no answer")

    api.fail = fail

    async def process(one: Lease) -> None:
        while True:
            await one.acquire()
            try:
                await one.hold()
            except LeaseLost:
                await asyncio.sleep(chance.random())

    processes = [asyncio.create_task(process(one)) for one in leases]
    led = set()
    while now() < 1800:
        await asyncio.sleep(chance.random())
        if chance.random() < 0.01:
            bad["until"] = now() + chance.choice([5, 20, 60])
        holders = [one.identity for one in leases if one.held]
        assert len(holders) <= 1
        led |= set(holders)
    assert len(led) > 1
    assert not any(process.done() for process in processes)
