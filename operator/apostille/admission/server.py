"""The web application: ``/mutate``, ``/validate``, ``/probe``, ``/livez``, ``/readyz``, ``/metrics``."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from apostille.admission.certificates import Serving, Source
from apostille.admission.declared import Declared
from apostille.admission.early import Early
from apostille.admission.mutate import Mutate
from apostille.admission.observe import Observe
from apostille.admission.review import BadReview, answer, patience, request_of
from apostille.admission.validate import Validate
from apostille.admission.waiting import Waiting
from apostille.core.selection import probe_warning
from apostille.core.settings import InjectionSettings
from apostille.kube.client import ApiError, Client
from apostille.kube.connection import Connection
from apostille.rules.addresses import AddressPolicy
from apostille.rules.modes import Modes
from apostille.telemetry import metrics
from apostille.telemetry.health import listen
from apostille.telemetry.logging import about

log = logging.getLogger(__name__)

Handler = Callable[[Mapping[str, Any], float], Awaitable[dict[str, Any]]]

# Two objects of 3 MB, the largest that etcd takes with some margin, and the review around them.
MAX_BODY = 7 * 1024 * 1024
# A copy that heard nothing for this long (bookmarks come every minute) is dead: be restarted.
MAX_SILENCE = 300.0
# The API server keeps an idle connection for 90 seconds: it must be the one that closes it, or a review gets lost.
KEEPALIVE_SECONDS = 300.0
WAITING = "waiting for the issuer and the local copies of trusts and bindings"
NO_CERTIFICATE = "waiting for a certificate: the controller keeps it in the Secret apostille-serving-certificate"


class Server:
    """Requests in, answers out; stateless but for the local copies."""

    def __init__(
        self, declared: Declared, waiting: Waiting, observe: Handler, settings: InjectionSettings, serving: Serving
    ) -> None:
        self._declared, self._serving = declared, serving
        self._stopping = False
        self._handlers: dict[str, Handler] = {
            "mutate": Mutate(declared, waiting, settings),
            "validate": Validate(declared, waiting),
            "observe": observe,
            "early": Early(declared, settings),
        }

    def application(self) -> web.Application:
        """The routes."""
        application = web.Application(client_max_size=MAX_BODY, middlewares=[self._say_goodbye])
        application.router.add_post("/mutate", self._review("mutate"))
        application.router.add_post("/mutate/allowed", self._review("mutate"))
        application.router.add_post("/validate", self._review("validate"))
        application.router.add_post("/observe", self._review("observe"))
        application.router.add_post("/validate/pods", self._review("early"))
        application.router.add_post("/probe/{configuration}/{digest}", self._probe)
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._metrics)
        return application

    def stop(self) -> None:
        """Not ready any more, but answering."""
        self._stopping = True

    @web.middleware
    async def _say_goodbye(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        # A connection that ends here must not be used once more: a review that meets its end is lost.
        response = await handler(request)
        if self._stopping:
            response.force_close()
        return response

    def _review(self, name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        handler = self._handlers[name]

        async def handle(http: web.Request) -> web.Response:
            request: Mapping[str, Any] = {}
            started, deadline = time.perf_counter(), time.monotonic() + patience(http.query.get("timeout", ""))
            result = "error"
            try:
                request = request_of(await http.read())
                if not self._declared.ready:
                    return web.Response(status=503, text=f"Apostille is starting: {WAITING}")
                reply = await handler(request, deadline)
                response = reply["response"]
                result = "denied" if not response["allowed"] else "injected" if "patch" in response else "allowed"
                metrics.ADMISSION_WARNINGS.labels(name).inc(len(response.get("warnings", ())))
                _log(name, request, response)
                return _json(reply)
            except BadReview as error:
                return web.Response(status=400, text=str(error))
            except web.HTTPRequestEntityTooLarge:
                return web.Response(status=413, text=f"a review of more than {MAX_BODY} bytes is not read")
            except ApiError as error:
                # Not an answer: the webhook's failurePolicy decides, and the API server tells the user this text.
                log.warning("review not answered", extra={"webhook": name, **_about(request), "reason": str(error)})
                return web.Response(status=503, text=f"Apostille cannot read its declarations: {error}")
            except Exception:
                log.exception("review failed", extra={"webhook": name, **_about(request)})
                return web.Response(status=500, text="Apostille failed on this object; its log says why")
            finally:
                metrics.ADMISSION_REQUESTS.labels(name, result).inc()
                metrics.ADMISSION_SECONDS.labels(name).observe(time.perf_counter() - started)

        return handle

    async def _probe(self, http: web.Request) -> web.Response:
        try:
            request = request_of(await http.read())
        except BadReview as error:
            return web.Response(status=400, text=str(error))
        if not self._declared.ready:
            return web.Response(status=503, text=WAITING)
        return _json(
            answer(request, warnings=[probe_warning(http.match_info["configuration"], http.match_info["digest"])])
        )

    async def _livez(self, http: web.Request) -> web.Response:
        if (silence := self._declared.silence) > MAX_SILENCE:
            return web.Response(status=503, text=f"nothing heard from the API server for {silence:.0f} seconds")
        return web.Response(text="ok")

    async def _readyz(self, http: web.Request) -> web.Response:
        if self._stopping:
            return web.Response(status=503, text="stopping")
        if not self._serving.leaf:
            return web.Response(status=503, text=NO_CERTIFICATE)
        if not self._declared.ready:
            return web.Response(status=503, text=WAITING)
        return web.Response(text="ok")

    async def _metrics(self, http: web.Request) -> web.Response:
        metrics.WATCH_SILENCE.labels("federationtrusts").set(self._declared.trusts.silence)
        metrics.WATCH_SILENCE.labels("workloadbindings").set(self._declared.bindings.silence)
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _json(reply: dict[str, Any]) -> web.Response:
    return web.Response(body=msgspec.json.encode(reply), content_type="application/json")


def _about(request: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    metadata = (request.get("object") or {}).get("metadata") or {}
    name = request.get("name") or metadata.get("name") or metadata.get("generateName") or ""
    kind = (request.get("kind") or {}).get("kind", "")
    return about(kind, name, request.get("namespace", ""), metadata.get("uid", ""))


def _log(webhook: str, request: Mapping[str, Any], response: Mapping[str, Any]) -> None:
    """One line per decision, joinable with the API server's audit log by the request's uid."""
    log.info(
        "decided",
        extra={
            "webhook": webhook,
            "review": request["uid"],
            **_about(request),
            "operation": request.get("operation", ""),
            "allowed": response["allowed"],
            "patched": "patch" in response,
            "refusal": (response.get("status") or {}).get("message", "")[:512],
        },
    )


async def serve(
    connection: Connection,
    settings: InjectionSettings,
    *,
    own_namespace: str,
    service_account: str,
    host: str,
    port: int,
    certificate: Source,
    lame_duck: float,
    addresses: AddressPolicy | None = None,
    modes: Modes | None = None,
) -> None:
    """Runs until SIGTERM: then not ready, serving on for ``lame_duck`` seconds, then drained."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Client(connection) as client:
        declared = Declared(client, own_namespace, service_account, addresses, modes)
        observe, serving = Observe(client, declared), Serving()
        server = Server(declared, Waiting(client, declared), observe, settings, serving)
        certificate.begin(serving, client)
        running = (declared.run(), observe.run(), certificate.follow())
        tasks = [asyncio.create_task(one) for one in running]
        await certificate.there(serving)
        runner = web.AppRunner(server.application(), access_log=None, keepalive_timeout=KEEPALIVE_SECONDS)
        await runner.setup()
        await web.SockSite(runner, listen(host, port), ssl_context=serving.context).start()
        log.info("serving", extra={"port": port})
        stopping = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        if stopping in done:
            server.stop()
            await asyncio.sleep(lame_duck)
        await runner.cleanup()
        for task in tasks:
            if task in done:
                task.result()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
