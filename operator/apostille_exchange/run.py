"""``apostille-exchange run``: follows the plan, keeps every admitted binding supplied, until SIGTERM."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from apostille_exchange import errors, grants, messages, transport
from apostille_exchange.clock import Clock
from apostille_exchange.errors import ExchangeError
from apostille_exchange.exchange import Post, exchange, revoke
from apostille_exchange.grants.grant import Site
from apostille_exchange.life import Life
from apostille_exchange.log import Log
from apostille_exchange.plan import PlanFile
from apostille_exchange.recipe import Admission, Plan, RecipeError

CLOSING, CLOSING_STEP = 20.0, 0.05  # seconds for revocations after SIGTERM; a pod's grace is 30 by default
INTERVAL = 1.0  # seconds between two looks at plan, assertions and clocks
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

Start = Callable[[Callable[[], None]], None]


class Exchanger:
    """Every binding of one pod. ``start`` runs an exchange; several at once must not wait for each other."""

    def __init__(
        self, plan: PlanFile, admissions: Sequence[Admission], clock: Clock, log: Log, post: Post, start: Start
    ) -> None:
        self._plan = plan
        self._clock = clock
        self._log = log
        self._post = post
        self._start = start
        self._problem = ""
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
            if (order := life.due()) is not None:
                try:
                    self._start(partial(exchange, life, order, self._post, self._clock, self._log))
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
    read = {}
    for name, url in {"": admission.endpoint, **admission.endpoints}.items():
        try:
            read[name] = messages.endpoint(url)
        except ValueError as error:
            where = f"admission.endpoints.{name}" if name else "admission.endpoint"
            raise RecipeError(f"{where}: {error}") from None
    return Site(admission, read.pop(""), read)


def run(plan: str, admissions: Sequence[Admission]) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit code. Nothing else ends it."""
    # Blocked in every thread and waited for in this one: no handler that could run in the middle of something.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    clock = Clock()
    log = Log(clock)
    exchanger = Exchanger(PlanFile(plan), admissions, clock, log, transport.post, _in_background)
    while True:
        try:
            exchanger.tick()
        except Exception as error:
            log("error", "unexpected", detail=type(error).__name__)
        if signal.sigtimedwait(_SIGNALS, INTERVAL) is not None:
            break
    exchanger.close()
    return 0


def _in_background(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()
