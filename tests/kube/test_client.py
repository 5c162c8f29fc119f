"""The client against an HTTP server that answers as an API server does in trouble."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from apostille.kube.client import ApiError, Client
from apostille.kube.lease import LeaseLost

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Connection:
    """To a server in clear text; ``renewals`` are the tokens that a renewal finds, in order."""

    def __init__(self, server: str, renewals: list[str]) -> None:
        self.server, self.token, self.renewals = server, "first", renewals

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def ssl_context(self) -> bool:
        return True

    def renew(self) -> bool:
        if not self.renewals:
            return False
        self.token = self.renewals.pop(0)
        return True


@asynccontextmanager
async def client(handler: Handler, renewals: list[str] | None = None, **options: Any) -> AsyncIterator[Client]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(application) as server:
        connection = Connection(str(server.make_url("")).rstrip("/"), renewals or [])
        async with Client(connection, **options) as made:  # type: ignore[arg-type]
            yield made


def answering(*answers: web.Response) -> tuple[Handler, list[web.Request]]:
    """One answer after the other, the last one for ever."""
    asked: list[web.Request] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request)
        answer = answers[min(len(asked), len(answers)) - 1]
        return web.Response(status=answer.status, body=answer.body, headers={**answer.headers})  # type: ignore[arg-type]

    return handle, asked


def put_off(seconds: str) -> web.Response:
    return web.json_response({"kind": "Status", "message": "later"}, status=429, headers={"Retry-After": seconds})


async def test_a_request_that_is_put_off_is_sent_again_after_the_pause_that_was_asked_for() -> None:
    handle, asked = answering(put_off("1"), web.json_response({"kind": "Pod"}))
    async with client(handle) as made:
        began = time.monotonic()

        answer, _ = await made.create("/api/v1/pods", {"metadata": {}})

    assert answer == {"kind": "Pod"}
    assert len(asked) == 2
    assert time.monotonic() - began >= 1.0


async def test_a_server_that_puts_off_for_long_or_for_ever_is_left_to_the_caller() -> None:
    for_long, asked = answering(put_off("30"))
    async with client(for_long) as made:
        with pytest.raises(ApiError) as refused:
            await made.get("/api/v1/pods")
    assert (refused.value.code, refused.value.retry_after, len(asked)) == (429, 30.0, 1)

    for_ever, asked = answering(put_off("0"))
    async with client(for_ever) as made:
        with pytest.raises(ApiError):
            await made.get("/api/v1/pods")
    assert len(asked) == 5


async def test_a_token_that_has_ended_is_read_again_and_the_request_sent_again() -> None:
    async def handle(request: web.Request) -> web.Response:
        good = request.headers["Authorization"] == "Bearer second"
        return web.json_response({"kind": "Pod" if good else "Status"}, status=200 if good else 401)

    async with client(handle, ["second"]) as made:
        assert await made.get("/api/v1/pods") == {"kind": "Pod"}


async def test_a_token_that_does_not_get_better_is_an_error() -> None:
    handle, asked = answering(web.json_response({"message": "Unauthorized"}, status=401))
    async with client(handle, ["second", "third"]) as made:
        with pytest.raises(ApiError) as refused:
            await made.get("/api/v1/pods")

    assert refused.value.code == 401
    assert len(asked) == 2


async def test_a_watch_with_an_ended_token_renews_it_for_the_next() -> None:
    handle, asked = answering(web.json_response({"message": "Unauthorized"}, status=401))
    async with client(handle, ["second"]) as made:
        for _ in range(2):
            with pytest.raises(ApiError):
                async for _event in made.watch("/api/v1/pods", "1", seconds=10, silence=5):
                    pass

    assert [request.headers["Authorization"] for request in asked] == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"text"', b"null"])
async def test_an_answer_of_no_known_form_is_an_error_like_any_other(body: bytes) -> None:
    """What a proxy or a balancer in between may say."""
    refusing, _ = answering(web.Response(status=502, body=body))
    async with client(refusing) as made:
        with pytest.raises(ApiError) as refused:
            await made.get("/api/v1/pods")
    assert refused.value.code == 502


async def test_a_success_that_is_not_json_is_an_error() -> None:
    handle, _ = answering(web.Response(body=b"<html>login</html>"))
    async with client(handle) as made:
        with pytest.raises(ApiError, match="not JSON"):
            await made.get("/api/v1/pods")


async def test_nothing_is_written_that_may_not_be() -> None:
    handle, asked = answering(web.json_response({}))

    def refuse() -> None:
        raise LeaseLost("not held")

    async with client(handle, before_write=refuse) as made:
        await made.get("/api/v1/pods")
        for write in (
            made.create("/api/v1/pods", {}),
            made.apply("/api/v1/pods/a", {}, manager="m"),
            made.merge("/api/v1/pods/a", {}),
            made.replace("/api/v1/pods/a", {}),
            made.delete("/api/v1/pods/a"),
        ):
            with pytest.raises(LeaseLost):
                await write

    assert [request.method for request in asked] == ["GET"]


async def test_an_error_event_ends_the_watch() -> None:
    async def handle(request: web.Request) -> web.Response:
        good = b'{"type": "ADDED", "object": {"metadata": {"name": "a"}}}\n'
        return web.Response(body=good + b'{"type": "ERROR", "object": {"code": 500, "message": "etcd: no leader"}}\n')

    async with client(handle) as made:
        watch = made.watch("/api/v1/pods", "1", seconds=10, silence=5)
        assert [await anext(watch), await anext(watch)] == [
            None,
            {"type": "ADDED", "object": {"metadata": {"name": "a"}}},
        ]
        with pytest.raises(ApiError, match="no leader"):
            await anext(watch)


async def test_a_silent_watch_ends() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"type": "ADDED", "object": {"metadata": {"name": "a"}}}\n')
        await asyncio.sleep(30)
        return response

    async with client(handle) as made:
        watch = made.watch("/api/v1/pods", "1", seconds=60, silence=0.3)
        types = [event and event["type"] async for event in watch]

    assert types == [None, "ADDED"]
