"""One exchange of one binding, and the line that is logged of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from apostille_exchange import assertion, errors, instants
from apostille_exchange.clock import Clock
from apostille_exchange.credential import Credential
from apostille_exchange.errors import ExchangeError
from apostille_exchange.life import Life
from apostille_exchange.log import Log
from apostille_exchange.order import Order, longest_life
from apostille_exchange.transport import Endpoint, Reply

Post = Callable[[Endpoint, str, Mapping[str, str]], Reply]


def exchange(life: Life, order: Order, to: Endpoint, post: Post, clock: Clock, log: Log) -> None:
    """Assertion in, credential files out. Never raises; `life` learns of the outcome, exactly once."""
    fields: dict[str, object] = {"binding": life.admission.binding, "grant": life.admission.grant}
    try:
        found = assertion.read(life.admission.token, life.admission.audience)
        fields |= {"jti": found.token_id, "sub": found.subject}
        credential = _ask(life, order, found, to, post, clock)
        delivered = life.deliver(order, credential)
    except ExchangeError as error:
        _failed(life, error, fields, log)
    except Exception as error:
        # Never its text: it may quote what it stumbled over.
        detail = f"{type(error).__name__} at {_place(error)}"
        _failed(life, ExchangeError(errors.UNKNOWN, detail), fields, log)
    else:
        fields |= {"expires": instants.text(credential.expires), "credential": f"sha256:{credential.fingerprint}"}
        if delivered:
            log("info", "exchanged", result="Exchanged", **fields)
        else:
            log("info", "exchanged and dropped: the plan has changed meanwhile", result="Overtaken", **fields)


def _ask(life: Life, order: Order, found: assertion.Assertion, to: Endpoint, post: Post, clock: Clock) -> Credential:
    reply = post(to, life.admission.ca, life.grant.form(order.parameters, order.session_seconds, found))
    try:
        credential = life.grant.read(reply, life.admission, order.parameters, found)
        left = credential.expires - clock.time()
        if left <= 0:
            raise ExchangeError(errors.BAD_REPLY, "the credential has ended already; are the clocks right?")
        if left > longest_life(life.admission):
            raise ExchangeError(
                errors.BAD_REPLY,
                f"the credential would live longer than the {life.admission.session_seconds} s of the pod's admission; "
                "are the clocks right?",
            )
    except ExchangeError as error:
        error.retry_after = _retry_after(reply, clock)
        raise
    return credential


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
        **fields,
    )


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "?"
    return f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"
