"""``apostille-exchange run``: follows the plan, keeps every admitted binding supplied, until SIGTERM."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from socket import socket

from apostille_exchange import errors, grants, messages
from apostille_exchange.clock import Clock
from apostille_exchange.deliver import files, hook
from apostille_exchange.endpoint import secret, shapes
from apostille_exchange.endpoint.listen import LOOPBACK, bind
from apostille_exchange.endpoint.server import Route, Server, route_path
from apostille_exchange.errors import ExchangeError
from apostille_exchange.exchange import Post, Tell, exchange, revoke
from apostille_exchange.grants.grant import Site
from apostille_exchange.life import Life
from apostille_exchange.log import Log
from apostille_exchange.messages import Reply, Request
from apostille_exchange.metrics import Standing, text
from apostille_exchange.plan import PlanFile
from apostille_exchange.recipe import Admission, Plan, RecipeError, Serve
from apostille_exchange.status import document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from apostille_exchange.proxy import Proxy

CLOSING, CLOSING_STEP = 20.0, 0.05  # seconds for revocations after SIGTERM; a pod's grace is 30 by default
ONCE_INTERVAL = 0.1  # the same where a pod waits for the end
INTERVAL = 1.0  # seconds between two looks at plan, assertions and clocks
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LABEL = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")

Start = Callable[[Callable[[], None]], None]


class Exchanger:
    """Every binding of one pod. ``start`` runs an exchange; several at once must not wait for each other."""

    def __init__(
        self,
        plan: PlanFile,
        admissions: Sequence[Admission],
        clock: Clock,
        log: Log,
        post: Post,
        start: Start,
        tell: Tell | None = None,
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._log = log
        self._post = post
        self._start = start
        self._tell = tell
        self._problem = ""
        self.listening = True
        """Until somebody can ask at its endpoints, nothing is fetched for a binding, and it is not ready."""
        self._lives: dict[str, Life] = {}
        self._admitted = {admission.binding for admission in admissions}
        for admission in admissions:
            try:
                life = Life(_site(admission), grants.load(admission.grant), clock, log)
            except RecipeError as error:
                # The others live on; this one never becomes ready, which is what the pod's author must see.
                refused = {"binding": admission.binding, "reason": "AdmissionRefused", "detail": str(error)}
                log("error", "binding not served", **refused)
                continue
            life.start()
            self._lives[admission.binding] = life

    def routes(self) -> dict[int, list[Route]]:
        """The endpoints by port; makes their secrets. One whose secret cannot be written is not served."""
        made: dict[int, list[Route]] = {}
        for binding, life in self._lives.items():
            for serve in life.admission.serves:
                try:
                    held = secret.establish(serve.secret, serve.mode)
                    _write_client_file(binding, serve, held)
                except (OSError, ValueError, RecursionError) as error:
                    # Its text may quote the file, which holds the secret.
                    detail = error.strerror if isinstance(error, OSError) else type(error).__name__
                    self._log("error", "endpoint not served", binding=binding, detail=detail)
                    continue
                made.setdefault(serve.port, []).append(
                    Route(
                        route_path(binding, serve.shape),
                        serve.shape,
                        held,
                        serve.secret,
                        lambda life=life: life.served,  # type: ignore[misc]
                    )
                )
        return made

    def standings(self) -> list[Standing]:
        """How every binding stands now."""
        return [life.standing() for life in self._lives.values()]

    def complete(self) -> bool:
        """Whether every admitted binding holds a credential."""
        held = [standing.state == "fresh" for standing in self.standings()]
        return len(held) == len(self._admitted) and all(held)

    def tick(self) -> None:
        """One look at everything; starts the exchanges that are due."""
        if (plan := self._plan.changed()) is not None:
            self._follow(plan)
        if self._plan.problem != self._problem:
            self._problem = self._plan.problem
            if self._problem:
                self._log(
                    "warning", "no plan yet; the last good one stays", reason="PlanUnreadable", detail=self._problem
                )
        for life in self._lives.values():
            if life.admission.serves and not self.listening:
                continue
            if (order := life.due()) is not None:
                try:
                    self._start(partial(exchange, life, order, self._post, self._clock, self._log, self._tell))
                except RuntimeError:  # no thread can be started now
                    life.failed(ExchangeError(errors.UNKNOWN))
        self._revoke()

    def close(self, wait: Callable[[float], object] = time.sleep) -> None:
        """Returns when no file is being written, and none will be, and what can be revoked is, or time is over."""
        for life in self._lives.values():
            life.close()
        for _ in range(int(CLOSING / CLOSING_STEP)):
            self._revoke()
            if not any(life.unfinished for life in self._lives.values()):
                return
            wait(CLOSING_STEP)

    def _revoke(self) -> None:
        for life in self._lives.values():
            for credential in life.discarded():
                try:
                    self._start(partial(revoke, life, credential, self._post, self._log))
                except RuntimeError:
                    life.not_revoked(credential, ExchangeError(errors.UNKNOWN))

    def _follow(self, plan: Plan) -> None:
        for binding, recipe in plan.recipes.items():
            if binding in self._lives:
                self._lives[binding].follow(recipe)
            elif binding not in self._admitted:
                self._log(
                    "error",
                    "recipe for a binding that this pod was not admitted for; ignored",
                    binding=binding,
                    reason="RecipeRefused",
                )


def _site(admission: Admission) -> Site:
    if not admission.binding or not _LABEL.issuperset(admission.binding):
        raise RecipeError("admission.binding: must be a name of letters, digits and -")
    if admission.notify is not None:
        hook.check(admission.notify)
    read = {}
    for name, url in {"": admission.endpoint, **admission.endpoints}.items():
        try:
            read[name] = messages.endpoint(url)
        except ValueError as error:
            where = f"admission.endpoints.{name}" if name else "admission.endpoint"
            raise RecipeError(f"{where}: {error}") from None
    return Site(admission, read.pop(""), read)


def _write_client_file(binding: str, serve: Serve, held: bytes) -> None:
    if serve.file:
        url = f"http://{LOOPBACK}:{serve.port}{route_path(binding, serve.shape)}"
        files.write(serve.file, shapes.credential_file(serve.shape, serve.document, url, held.decode()), serve.mode)


class _StateFile:
    """Written when something has changed, for ``apostille-exchange status``; a new state is also a line of the log."""

    def __init__(self, path: str, log: Log) -> None:
        self._path, self._log = path, log
        self._said = ""
        self._states: dict[str, str] = {}

    def write(self, standings: Iterable[Standing]) -> None:
        found = document(standings)
        for binding, fields in found.items():
            if self._states.get(binding) != fields["state"]:
                self._states[binding] = fields["state"]
                # `apostille explain pod` reads it: who may read a log may not always look into a pod.
                self._log("info", "state", binding=binding, **fields)
        said = json.dumps(found)
        if not self._path or said == self._said:
            return
        try:
            files.write(self._path, said + "\n", 0o644)
        except OSError as error:
            self._log("warning", "the state could not be written", detail=error.strerror)
        self._said = said


def run(
    plan: str,
    admissions: Sequence[Admission],
    state: str = "",
    metrics_port: int = 0,
    listeners: Sequence[socket] = (),
    once: bool = False,
    proxy: Proxy | None = None,
) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code. Nothing else ends it.

    ``listeners`` are the endpoints', where their ports could be had already. ``once``: it also ends when every binding
    holds a credential, which is left behind and not revoked.
    """
    # Blocked in every thread and waited for in this one: no handler that could run in the middle of something.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    clock = Clock()
    log = Log(clock)
    endpoints = _Endpoints(admissions, listeners, clock, log)
    exchanger = Exchanger(PlanFile(plan), admissions, clock, log, partial(_post, proxy=proxy), _in_background)
    counted = _listen_metrics(metrics_port, exchanger, endpoints.counts, clock, log)
    state_file = _StateFile(state, log)
    while True:
        try:
            exchanger.listening = endpoints.serve(exchanger)
            exchanger.tick()
            state_file.write(exchanger.standings())
        except Exception as error:
            log("error", "unexpected", detail=type(error).__name__)
        if once and exchanger.complete():
            return 0
        if signal.sigtimedwait(_SIGNALS, ONCE_INTERVAL if once else INTERVAL) is not None:
            break
    # Nobody is given a credential that is revoked a moment later.
    endpoints.close()
    exchanger.close()
    if counted is not None:
        counted.close()
    return 0


class _Endpoints:
    """A port that is taken is tried again with every look."""

    def __init__(self, admissions: Iterable[Admission], listeners: Sequence[socket], clock: Clock, log: Log) -> None:
        self._ports = {serve.port for admission in admissions for serve in admission.serves}
        self._clock, self._log = clock, log
        self._listeners = listeners
        self._server: Server | None = None
        self._told = False
        self.counts: dict[tuple[str, int], int] = {}

    def serve(self, exchanger: Exchanger) -> bool:
        """Begins to answer as soon as it can; whether it does."""
        if self._server is None and self._ports and self._listen():
            self._server = Server(self._listeners, self._clock, self.counts)
            self._server.start(exchanger.routes())
        return self._server is not None

    def _listen(self) -> bool:
        try:
            self._listeners = self._listeners or bind(self._ports)
        except OSError as error:
            if not self._told:
                detail = f"{', '.join(str(port) for port in sorted(self._ports))}: {error.strerror}"
                self._log("error", "endpoint not served yet", reason="PortTaken", detail=detail)
            self._told = True
            return False
        return True

    def close(self) -> None:
        """Returns when nothing is answered any more."""
        if self._server is not None:
            self._server.close()


def _listen_metrics(
    port: int, exchanger: Exchanger, replies: Mapping[tuple[str, int], int], clock: Clock, log: Log
) -> Server | None:
    if not port:
        return None
    for host in ("::", "0.0.0.0"):  # noqa: S104 - what is counted is for a Prometheus outside the pod
        try:
            made = Server(bind([port], host), clock)
        except OSError as error:
            problem = error.strerror
            continue
        made.start({}, {"/metrics": lambda: text(exchanger.standings(), replies)})
        return made
    log("warning", "metrics not served", reason="PortTaken", detail=problem)
    return None


def _post(request: Request, ca: str, proxy: Proxy | None) -> Reply:
    # Imported by the first exchange, in its thread: TLS takes longer to load than everything else together.
    from apostille_exchange import transport

    return transport.post(request, ca, proxy)


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()
