"""One exchange of one binding, and the line that is logged of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from apostille_exchange import assertion, errors, instants
from apostille_exchange.clock import Clock
from apostille_exchange.credential import Credential
from apostille_exchange.errors import ExchangeError
from apostille_exchange.grants.grant import Ask, Further
from apostille_exchange.life import Life
from apostille_exchange.log import Log
from apostille_exchange.messages import Reply, Request
from apostille_exchange.order import Order, longest_life
from apostille_exchange.recipe import Notify

Post = Callable[[Request, str], Reply]
"""`transport.post`."""
Tell = Callable[[Notify, str], None]
"""`hook.tell`."""

MOST_REQUESTS = 3  # of one exchange
CLOCKS_DIFFER = 300.0  # seconds that a credential may seem to outlive its assertion


def exchange(life: Life, order: Order, post: Post, clock: Clock, log: Log, tell: Tell | None = None) -> None:
    """Assertion in, credential files out. Never raises; `life` learns of the outcome, exactly once."""
    began = clock.monotonic()
    fields: dict[str, object] = {"binding": life.admission.binding, "grant": life.admission.grant}
    try:
        credential = _renew(life, order, post, clock)
        done = "renewed" if credential is not None else "exchanged"
        if credential is None:
            found = assertion.read(life.admission.token, life.admission.audience)
            fields |= {"jti": found.token_id, "sub": found.subject}
            credential = _ask(life, order, found, post, clock)
        delivered = life.deliver(order, credential)
    except ExchangeError as error:
        life.counts.add("refused" if error.permanent else "failed", clock.monotonic() - began, error.reason)
        _failed(life, error, fields, log)
    except Exception as error:
        # Never its text: it may quote what it stumbled over.
        detail = f"{type(error).__name__} at {_place(error)}"
        life.counts.add("failed", clock.monotonic() - began, errors.UNKNOWN)
        _failed(life, ExchangeError(errors.UNKNOWN, detail), fields, log)
    else:
        life.counts.add(done if delivered else "overtaken", clock.monotonic() - began)
        fields |= {"expires": instants.text(credential.expires), "credential": f"sha256:{credential.fingerprint}"}
        if delivered:
            log("info", done, result=done.capitalize(), state=life.standing().state, **fields)
            if life.admission.notify is not None:
                _notify(life, life.admission.notify, tell, log)
        else:
            log("info", "exchanged and dropped: the plan has changed meanwhile", result="Overtaken", **fields)


def _notify(life: Life, notify: Notify, tell: Tell | None, log: Log) -> None:
    from apostille_exchange.deliver import hook

    counts, binding = life.counts.notifications, life.admission.binding
    try:
        (tell or hook.tell)(notify, binding)
    except Exception as error:
        # The credential is delivered; who does not hear of it finds it there.
        counts["failed"] = counts.get("failed", 0) + 1
        detail = (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"
        log("warning", "nobody heard of the new credential", binding=binding, reason="NotNotified", detail=detail)
    else:
        counts["told"] = counts.get("told", 0) + 1


def _ask(life: Life, order: Order, found: assertion.Assertion, post: Post, clock: Clock) -> Credential:
    ask = Ask(life.site, order.parameters, _seconds(life, order, found, clock), found)
    if life.grant.local:
        own = life.grant.itself(ask)
        _check_life(life, own, clock)
        return own
    reply = _send(life, life.grant.request(ask), post)
    try:
        got = life.grant.read(reply, ask)
        for _ in range(MOST_REQUESTS - 1):
            if isinstance(got, Credential):
                break
            reply = _send(life, got.request, post)
            got = life.grant.read_further(reply, ask, got)
        if isinstance(got, Further):
            raise ExchangeError(errors.BAD_REPLY, "the exchange comes to no end")
        try:
            _check_life(life, got, clock)
            _check_within(life, got, found, clock)
        except ExchangeError:
            life.discard(got)
            raise
    except ExchangeError as error:
        if error.retry_after is None:
            error.retry_after = _retry_after(reply, clock)
        raise
    return got


def _send(life: Life, request: Request, post: Post) -> Reply:
    """Raises ExchangeError, also for an address that the pod was not admitted for."""
    to = request.endpoint
    if all((to.host, to.port) != (one.host, one.port) for one in (life.site.endpoint, *life.site.endpoints.values())):
        raise ExchangeError(errors.MISCONFIGURED, "a host that this pod was not admitted for", permanent=True)
    return post(request, life.admission.ca)


def _seconds(life: Life, order: Order, found: assertion.Assertion, clock: Clock) -> int:
    """How long a credential to ask for. Raises ExchangeError where the assertion ends too soon for any."""
    if not life.admission.within_assertion:
        return order.session_seconds
    left = int(found.expires - clock.time()) if found.expires < float("inf") else 0
    if left < life.grant.shortest_seconds:
        # Not permanent: the kubelet's next token is taken up as soon as it is there.
        raise ExchangeError(errors.TOKEN_EXPIRED, "the assertion ends before any credential could; waits for the next")
    return min(order.session_seconds, left)


def _renew(life: Life, order: Order, post: Post, clock: Clock) -> Credential | None:
    """The held credential, for longer; None where there is none, or where it takes a new exchange."""
    held = life.renewable(order)
    if held is None:
        return None
    reply = _send(life, life.grant.renewal(life.site, held), post)
    try:
        renewed = life.grant.renewed(reply, held)
        if renewed is not None:
            _check_life(life, renewed, clock)
    except ExchangeError as error:
        if error.permanent:
            return None  # it was revoked, or its role has gone: the assertion decides
        error.retry_after = _retry_after(reply, clock)
        raise
    return renewed


def revoke(life: Life, credential: Credential, post: Post, log: Log) -> None:
    """Takes a credential back. Never raises; `life` learns of the outcome, exactly once."""
    fields: dict[str, object] = {"binding": life.admission.binding, "grant": life.admission.grant}
    fields["credential"] = f"sha256:{credential.fingerprint}"
    try:
        asked = life.grant.revocation(life.site, credential, _assertion(life))
        life.grant.revoked(_send(life, asked, post), credential)
    except ExchangeError as error:
        _not_revoked(life, credential, error, fields, log)
    except Exception as error:
        detail = f"{type(error).__name__} at {_place(error)}"
        _not_revoked(life, credential, ExchangeError(errors.UNKNOWN, detail), fields, log)
    else:
        life.counts.add("revoked", 0.0)
        life.revoked(credential)
        log("info", "revoked", result="Revoked", **fields)


def _not_revoked(
    life: Life, credential: Credential, error: ExchangeError, fields: Mapping[str, object], log: Log
) -> None:
    life.counts.add("not-revoked", 0.0, error.reason)
    wait = life.not_revoked(credential, error)
    log(
        "warning",
        "not revoked yet",
        result="NotRevoked",
        reason=error.reason,
        status=error.status,
        detail=error.detail,
        retrySeconds=round(wait, 1),
        **fields,
    )


def _check_life(life: Life, credential: Credential, clock: Clock) -> None:
    left = credential.expires - clock.time()
    if left <= 0:
        raise ExchangeError(errors.BAD_REPLY, "the credential has ended already; are the clocks right?")
    if left > longest_life(life.admission):
        raise ExchangeError(
            errors.BAD_REPLY,
            f"the credential would live longer than the {life.admission.session_seconds} s of the pod's admission; "
            "are the clocks right?",
        )


def _check_within(life: Life, credential: Credential, found: assertion.Assertion, clock: Clock) -> None:
    if life.admission.within_assertion and credential.expires > found.expires + CLOCKS_DIFFER:
        raise ExchangeError(errors.BAD_REPLY, "the credential would outlive its assertion, which the trust forbids")


def _assertion(life: Life) -> assertion.Assertion | None:
    try:
        return assertion.read(life.admission.token, life.admission.audience)
    except ExchangeError:
        return None


def _retry_after(reply: Reply, clock: Clock) -> float | None:
    """Seconds (RFC 9110 §10.2.3); None without the header, or with nonsense in it."""
    header = reply.headers.get("retry-after", "")
    if header.isascii() and header.isdecimal():
        return float(header)
    try:
        return instants.http_date(header) - clock.time()
    except ValueError:
        return None


def _failed(life: Life, error: ExchangeError, fields: Mapping[str, object], log: Log) -> None:
    wait = life.failed(error)
    log(
        "warning",
        "exchange failed",
        result="Refused" if error.permanent else "Failed",
        reason=error.reason,
        code=error.code,
        status=error.status,
        detail=error.detail,
        retrySeconds=round(wait, 1),
        state=life.standing().state,
        **fields,
    )


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "?"
    return f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"
