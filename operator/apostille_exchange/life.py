"""The life of one binding's credential: what to exchange, and what becomes of it.

The last good credential stays until it ends, whatever fails meanwhile. When it ends without a renewal its file stays
too: with a dead credential an SDK fails, without a file it would look on and take the node's identity instead.
A binding that has *ended* is another matter: it was declared that nothing shall be left.
"""

from __future__ import annotations

import threading

from apostille_exchange import assertion, errors, instants
from apostille_exchange.clock import Clock
from apostille_exchange.credential import Credential
from apostille_exchange.deliver.stamp import Stamp
from apostille_exchange.endpoint import shapes
from apostille_exchange.endpoint.served import Served
from apostille_exchange.errors import ExchangeError
from apostille_exchange.grants.grant import Grant, Site
from apostille_exchange.log import Log
from apostille_exchange.metrics import Counts, Standing
from apostille_exchange.order import Order, longest_life, order
from apostille_exchange.outputs import Outputs
from apostille_exchange.recipe import Admission, Recipe, RecipeError
from apostille_exchange.schedule import Backoff, Refresh


class Life:
    """One binding. `follow` and `due` are the main loop's; `deliver` and `failed` belong to the exchange it started.

    Raises RecipeError for an admission that asks for what this version does not have.
    """

    def __init__(self, site: Site, grant: Grant, clock: Clock, log: Log) -> None:
        admission = site.admission
        grant.admit(admission)
        if admission.session_seconds < grant.shortest_seconds:
            raise RecipeError(
                f"admission.sessionSeconds: {admission.grant} grants no less than {grant.shortest_seconds}"
            )
        self.site = site
        self.admission = admission
        self.grant = grant
        self.counts = Counts()
        self.served = Served()
        """What the endpoints give away; replaced as a whole, so that reading it takes no lock."""
        self._outputs = Outputs(admission, grant.yields)
        _check_shapes(admission, grant)
        self._clock = clock
        self._log = log
        self._lock = threading.Lock()
        self._recipe: Recipe | None = None
        self._order: Order | None = None
        self._ended = False
        self._left_over = False
        self._removal_failed = False
        self._closed = False
        self._busy = False
        self._held: Stamp | None = None
        self._expired = False
        self._failure: ExchangeError | None = None
        self._credential: Credential | None = None  # only where it is renewed, revoked or served
        self._discarded: list[tuple[Credential, Backoff]] = []
        self._revoking = 0
        self._refresh: Refresh | None = None
        self._backoff = Backoff(clock)
        self._tried: assertion.Version | None = None
        self._spent: assertion.Version | None = None
        self._waits: dict[int, Backoff] = {}

    @property
    def _keeps(self) -> bool:
        return self.grant.renewable or self.grant.revocable or bool(self.admission.serves)

    def start(self) -> None:
        """Clears what a killed predecessor left half-written."""
        try:
            self._outputs.sweep()
        except OSError as error:
            self._say("warning", "a temporary file could not be removed", detail=error.strerror)

    def follow(self, recipe: Recipe) -> None:
        """Takes over what the plan says now. What cannot be followed changes nothing."""
        with self._lock:
            if recipe == self._recipe:
                return
            self._recipe = recipe
            if recipe.ended:
                self._end()
                return
            try:
                wanted = order(self.admission, recipe, self.grant)
            except RecipeError as error:
                self._say("error", "recipe refused; the last good one stays", reason="RecipeRefused", detail=str(error))
                return
            if recipe.session_seconds > self.admission.session_seconds:
                detail = f"sessionSeconds: {recipe.session_seconds} is above {self.admission.session_seconds}"
                message = "recipe clamped to what the pod was admitted for"
                self._say("warning", message, reason="RecipeClamped", detail=detail)
            self._take(wanted)

    def due(self) -> Order | None:
        """What to exchange now, or None. An order that is returned is under way until `deliver` or `failed`."""
        with self._lock:
            self._remove()
            self._notice_end()
            if self._order is None or self._busy or self._closed or not self._wants(self._order):
                return None
            self._busy = True
            self._tried = assertion.version(self.admission.token)
            return self._order

    def deliver(self, done: Order, credential: Credential) -> bool:
        """Writes the files; False when the plan has moved on meanwhile, and nothing is written.

        Raises ExchangeError (NotDelivered).
        """
        with self._lock:
            self._spent = self._tried
            if self._closed or self._order != done:
                self._busy = False
                self._discard(credential)
                return False
            stamp = Stamp(int(self._clock.time()), int(credential.expires), done.digest)
            try:
                self._outputs.write(credential, stamp)
            except OSError as error:
                self._discard(credential)
                raise ExchangeError(errors.NOT_DELIVERED, error.strerror or type(error).__name__) from None
            self._busy = False
            self._backoff.succeeded()
            self._hold(stamp)
            if self.admission.serves:
                self.served = Served(credential, done.parameters)
            if self._keeps:
                before, self._credential = self._credential, credential
                self._discard(before)
            return True

    def renewable(self, wanted: Order) -> Credential | None:
        """The credential that is held for this order, where it can be renewed."""
        with self._lock:
            if not self.grant.renewable or self._held is None or self._held.order != wanted.digest:
                return None
            return self._credential

    def discard(self, credential: Credential) -> None:
        """Has a credential revoked that is not delivered."""
        with self._lock:
            self._discard(credential)

    def discarded(self) -> list[Credential]:
        """Credentials to revoke now; each is under way until `revoked` or `not_revoked`."""
        with self._lock:
            now = self._clock.time()
            due = [(one, wait) for one, wait in self._discarded if not wait.waits(assertion_changed=False)]
            self._discarded = [(one, wait) for one, wait in self._discarded if (one, wait) not in due]
            alive = [(one, wait) for one, wait in due if one.expires > now]
            self._revoking += len(alive)
            self._waits.update({id(one): wait for one, wait in alive})
            return [one for one, _ in alive]

    def revoked(self, credential: Credential) -> None:
        """It is no more."""
        with self._lock:
            self._revoking -= 1
            self._waits.pop(id(credential), None)

    def not_revoked(self, credential: Credential, error: ExchangeError) -> float:
        """Notes a failure; returns the seconds until the next try."""
        with self._lock:
            self._revoking -= 1
            wait = self._waits.pop(id(credential))
            self._discarded.append((credential, wait))
            return wait.failed(error)

    @property
    def unfinished(self) -> bool:
        """Whether a credential is still to be revoked, or may come yet that then is."""
        with self._lock:
            return self.grant.revocable and bool(self._busy or self._discarded or self._revoking)

    def failed(self, error: ExchangeError) -> float:
        """Notes a failure; returns the seconds until the next try."""
        with self._lock:
            self._busy = False
            if error.reason == errors.ASSERTION_USED:
                self._spent = self._tried
            self._failure = error
            left = self._held.expires - self._clock.time() if self._held is not None else float("inf")
            return self._backoff.failed(error, left)

    def standing(self) -> Standing:
        """How the credential stands now, for metrics and ``apostille-exchange status``."""
        with self._lock:
            self._notice_end()
            held = self._held
            return Standing(self.admission.binding, self._state(), held.expires if held else 0.0, self.counts)

    def _state(self) -> str:
        if self._ended:
            return "ended"
        if self._held is not None:
            return "overdue" if self._refresh is not None and self._refresh.overdue() else "fresh"
        if self._expired:
            return "expired"
        if self._failure is None:
            return "pending"
        return "denied" if self._failure.permanent else "failed"

    def close(self) -> None:
        """Nothing is written from now on; returns when nothing is being written.

        What can be revoked is discarded, and its file goes before it: nothing finds a token that is no more.
        """
        with self._lock:
            self._closed = True
            self.served = Served(why=("Closing", "the pod is ending"))
            self._credential = self._credential or self._left_behind()
            if self._credential is None:
                return
            try:
                self._outputs.remove()
            except OSError as error:
                self._say("error", "a credential file could not be removed", detail=error.strerror)
            self._drop()

    def _take(self, wanted: Order) -> None:
        if wanted == self._order:
            return
        if self._ended:
            self._say("info", "binding is live again")
            self.served = Served()
        restarted = self._order is None and not self._ended
        self._ended = self._left_over = False
        self._order = wanted
        self._backoff = Backoff(self._clock)
        if restarted:
            self._adopt(wanted)

    def _adopt(self, wanted: Order) -> None:
        """A restart in its pod goes on with the files that are there, when they are what would be asked for again."""
        found, left = self._outputs.stamp(), 0.0
        if found is not None and found.order == wanted.digest:
            left = found.expires - self._clock.time()
        kept = self._left_behind()
        if found is not None and 0 < left <= longest_life(self.admission) and (kept or not self.admission.serves):
            self._hold(found)
            self._credential = kept
            if kept is not None and self.admission.serves:
                self.served = Served(kept, wanted.parameters)
            expires = instants.text(found.expires)
            self._say("info", "goes on with the credential of before the restart", expires=expires)
        else:
            self._discard(kept)

    def _left_behind(self) -> Credential | None:
        """The credential in the files of before a restart, where it can still be revoked."""
        if not self._keeps or (found := self._outputs.stamp()) is None or found.expires <= self._clock.time():
            return None
        values = self._outputs.read()
        return Credential(values, found.expires, "", found.expires - found.issued) if values else None

    def _hold(self, stamp: Stamp) -> None:
        self._held, self._expired, self._failure = stamp, False, None
        self._refresh = Refresh(stamp, self._clock, self.grant.refresh_at)

    def _wants(self, wanted: Order) -> bool:
        version = assertion.version(self.admission.token)
        if self.grant.single_use and version is not None and version == self._spent:
            return False
        if self._backoff.waits(assertion_changed=version is not None and version != self._tried):
            return False
        if self._held is None or self._refresh is None or self._held.order != wanted.digest:
            return True
        return self._refresh.due() or (self.grant.local and version is not None)

    def _notice_end(self) -> None:
        if self._held is not None and self._clock.time() >= self._held.expires:
            self._held = self._credential = None
            self._expired = True
            self._say("error", "the credential ended without a renewal", reason="CredentialEnded")

    def _end(self) -> None:
        if not self._ended:
            self._say("info", "binding has ended; the credential is dropped")
        self._credential = self._credential or self._left_behind()
        self._ended = self._left_over = True
        self._expired, self._failure = False, None
        self._order = self._held = None
        self.served = Served(why=("BindingEnded", "the binding has ended"))
        self._remove()
        self._drop()

    def _drop(self) -> None:
        dropped, self._credential = self._credential, None
        self._discard(dropped)

    def _discard(self, credential: Credential | None) -> None:
        """Has it revoked, unless it is the one that is held on to."""
        if credential is None or not self.grant.revocable:
            return
        if self._credential is None or credential.values != self._credential.values:
            self._discarded.append((credential, Backoff(self._clock)))

    def _remove(self) -> None:
        """Tries until nothing is left."""
        if not self._left_over or self._closed:
            return
        try:
            self._outputs.remove()
        except OSError as error:
            if not self._removal_failed:
                self._say("error", "a credential file could not be removed", detail=error.strerror)
            self._removal_failed = True
        else:
            self._left_over = self._removal_failed = False

    def _say(self, level: str, message: str, **fields: object) -> None:
        self._log(level, message, binding=self.admission.binding, grant=self.admission.grant, **fields)


def _check_shapes(admission: Admission, grant: Grant) -> None:
    for serve in admission.serves:
        needs = shapes.NEEDS.get(serve.shape)
        if needs is None:
            known = ", ".join(shapes.NEEDS)
            raise RecipeError(f"admission.serves.shape: {serve.shape!r} is not known to this version ({known})")
        if missing := [value for value in needs if value not in grant.yields]:
            raise RecipeError(f"admission.serves.shape: {serve.shape} needs {', '.join(missing)}")
