"""Tokens are asked for as the pod and renewed when a kubelet would; a refusal costs a pod its token only at its end."""

from __future__ import annotations

import datetime
import time
from typing import Any

import pytest

from apostille_testbed.pods.api import Api, ApiError
from apostille_testbed.pods.tokens import Tokens

POD = {
    "metadata": {"name": "p", "namespace": "payments", "uid": "u-1"},
    "spec": {"serviceAccountName": "reader", "containers": []},
}
SOURCE = {"audience": "https://party.example", "expirationSeconds": 3600, "path": "token"}
HOUR = 3600


class Clock:
    """The time that the tokens see."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_800_000_000.0
        monkeypatch.setattr(time, "time", lambda: self.now)


class Server(Api):
    """Answers token requests, or refuses them, and keeps what it was asked."""

    def __init__(self, clock: Clock) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.refusal: ApiError | None = None
        self.seconds: int | None = None
        self._clock = clock

    async def call(self, method: str, path: str, body: Any = None, *_: Any, **__: Any) -> dict[str, Any]:
        self.asked.append((path, body["spec"]))
        if self.refusal:
            raise self.refusal
        seconds = self.seconds or body["spec"]["expirationSeconds"]
        ends = datetime.datetime.fromtimestamp(self._clock.now + seconds, datetime.UTC)
        return {"status": {"token": f"token {len(self.asked)}", "expirationTimestamp": ends.isoformat()}}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def server(clock: Clock) -> Server:
    return Server(clock)


@pytest.fixture
def tokens(server: Server) -> Tokens:
    return Tokens(server, POD)


async def test_a_token_is_bound_to_the_pod(tokens: Tokens, server: Server) -> None:
    await tokens.get(SOURCE)

    path, spec = server.asked[0]
    assert path == "/api/v1/namespaces/payments/serviceaccounts/reader/token"
    assert spec == {
        "audiences": ["https://party.example"],
        "expirationSeconds": 3600,
        "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u-1"},
    }


@pytest.mark.parametrize(
    ("granted", "due"),
    [
        pytest.param(None, 0.8 * HOUR, id="80 % of its life"),
        pytest.param(600, 480, id="80 % of what the API server granted"),
        pytest.param(48 * HOUR, 24 * HOUR, id="24 hours"),
    ],
)
async def test_a_token_is_renewed_when_it_is_due(
    tokens: Tokens, server: Server, clock: Clock, granted: int | None, due: float
) -> None:
    server.seconds = granted
    begun = clock.now
    assert await tokens.get(SOURCE) == "token 1"
    assert tokens.next_refresh() == pytest.approx(begun + due)

    clock.now = begun + due - 1
    assert await tokens.get(SOURCE) == "token 1"
    clock.now = begun + due
    assert await tokens.get(SOURCE) == "token 2"


async def test_each_audience_and_life_is_a_token_of_its_own(tokens: Tokens) -> None:
    assert tokens.next_refresh() == float("inf")
    found = [await tokens.get(source) for source in (SOURCE, {**SOURCE, "audience": "b"}, {**SOURCE, "path": "other"})]

    assert found == ["token 1", "token 2", "token 1"]


async def test_a_refused_renewal_is_an_error_when_the_old_token_has_ended(
    tokens: Tokens, server: Server, clock: Clock
) -> None:
    begun = clock.now
    await tokens.get(SOURCE)
    server.refusal = ApiError(422, "Invalid", "no binding allows this audience")

    clock.now = begun + 0.9 * HOUR
    assert await tokens.get(SOURCE) == "token 1"
    clock.now = begun + HOUR
    with pytest.raises(ApiError, match="token expired and refresh failed: no binding allows this audience"):
        await tokens.get(SOURCE)


async def test_after_a_restart_of_the_kubelet_a_refusal_is_an_error_at_once(tokens: Tokens, server: Server) -> None:
    await tokens.get(SOURCE)
    server.refusal = ApiError(422, "Invalid", "no binding allows this audience")
    tokens.forget()

    with pytest.raises(ApiError, match="failed to fetch token: no binding allows this audience"):
        await tokens.get(SOURCE)
