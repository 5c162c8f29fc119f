"""What a kubelet is told: 503 with the reason where something is wrong."""

from __future__ import annotations

import aiohttp

from apostille.telemetry import health


async def test_what_is_wrong_is_said_and_everything_else_is_ok() -> None:
    wrong = {"alive": "", "ready": "waiting for the lease"}
    measured: list[int] = []
    runner = await health.serve(
        "127.0.0.1", 0, lambda: wrong["alive"], lambda: wrong["ready"], lambda: measured.append(1)
    )
    ((host, port, *_),) = runner.addresses

    async def asked(path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(f"http://{host}:{port}{path}") as response:
            return response.status, await response.text()

    try:
        assert await asked("/livez") == (200, "ok")
        assert await asked("/readyz") == (503, "waiting for the lease")
        wrong["alive"] = "nothing heard from the API server for 301 seconds"
        assert await asked("/livez") == (503, "nothing heard from the API server for 301 seconds")
        status, text = await asked("/metrics")
        assert (status, measured) == (200, [1])
        assert "apostille_build_info" in text
    finally:
        await runner.cleanup()
