"""``apostille-exchange``: dispatches to a command, which imports what it needs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

    from apostille_exchange.proxy import Proxy

USAGE = """Exchanges a pod's service-account tokens for short-lived credentials at relying parties.

usage: apostille-exchange run --plan FILE [--state FILE] [--metrics-port N] [PROXY] --admission=JSON ...
       apostille-exchange run --once --plan FILE [PROXY] --admission=JSON [--admission=JSON ...]
       apostille-exchange ready PATH ...
       apostille-exchange status [FILE]
       apostille-exchange --help

run    keeps the credentials of every admitted binding fresh, in files and at endpoints on loopback, until SIGTERM.
       FILE is the plan that the downward API carries in from the pod's annotation; what a pod was admitted for
       stands in its arguments. --metrics-port serves /metrics on all addresses of the pod. With --once it ends as soon
       as every binding has its first credential, which stays: for init containers.
       PROXY: --proxy=HOST:PORT, through which parties are reached (HTTP CONNECT), and --direct=NAME|CIDR ... for those
       that are not.
ready  succeeds when every PATH holds a credential that has not ended: the container's startup probe.
status prints how every binding stands: pending, fresh, overdue, expired, failed, denied or ended.

The CA bundle is the one that an admission names, else the system's (SSL_CERT_FILE, SSL_CERT_DIR).
Logs are JSON, one line an exchange, on standard error.
Exit codes: 0 done or ready, 1 not ready, 2 wrong usage."""


class _UsageError(Exception):
    """What is wrong with the command line."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Exits with the codes above."""
    # Not argparse: it would stay in the memory of every pod. Each command imports what it needs.
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in (["--help"], ["-h"], ["help"]) or any(word in ("--help", "-h") for word in words):
        print(USAGE)
        sys.exit(0)
    try:
        code = _dispatch(words)
    except _UsageError as error:
        print(f"apostille-exchange: {error}; see apostille-exchange --help", file=sys.stderr)
        code = 2
    sys.exit(code)


def _dispatch(words: Sequence[str]) -> int:
    if words[:1] == ["run"]:
        return _run(words[1:])
    if words[:1] == ["status"]:
        if len(words) > 2:
            raise _UsageError("status: at most one FILE")
        from apostille_exchange.status import STATE_FILE, status

        return status(words[1] if words[1:] else STATE_FILE)
    if words[:1] == ["ready"]:
        if len(words) < 2:
            raise _UsageError("ready: no PATH given")
        from apostille_exchange.ready import ready

        return ready(words[1:])
    raise _UsageError(f"{words[0]!r} is not a command" if words else "no command given")


def _run(words: Sequence[str]) -> int:
    from apostille_exchange.lean import lean

    lean()
    from apostille_exchange.recipe import RecipeError, loads_admission

    known = ("--plan", "--admission", "--state", "--metrics-port", "--proxy", "--direct")
    options: dict[str, list[str]] = {name: [] for name in known}
    rest = [word for word in words if word != "--once"]
    once = len(rest) < len(words)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if name not in options:
            raise _UsageError(f"run: {name!r} is not an option")
        if not equals:
            if not rest:
                raise _UsageError(f"run: {name} needs a value")
            value = rest.pop(0)
        options[name].append(value)
    if any(len(options[name]) > 1 for name in ("--state", "--metrics-port", "--proxy")):
        raise _UsageError("run: give --state, --metrics-port and --proxy at most once")
    metrics_port = (options["--metrics-port"] or ["0"])[0]
    if not metrics_port.isdecimal() or int(metrics_port) > 65535:
        raise _UsageError("run: --metrics-port: not a port")
    if len(options["--plan"]) != 1 or not options["--admission"]:
        raise _UsageError("run: give one --plan and at least one --admission")
    try:
        admissions = [loads_admission(text) for text in options["--admission"]]
    except RecipeError as error:
        raise _UsageError(f"run: --admission: {error}") from None
    bindings = [admission.binding for admission in admissions]
    paths = [output.path for admission in admissions for output in admission.outputs]
    if len(set(bindings)) < len(bindings) or len(set(paths)) < len(paths):
        raise _UsageError("run: two admissions name the same binding or output path")
    others = [admission.token for admission in admissions]
    others += [serve.secret for admission in admissions for serve in admission.serves]
    others += [serve.file for admission in admissions for serve in admission.serves if serve.file]
    if not all(path.startswith("/") for path in (*paths, *others)):
        raise _UsageError("run: every path of an admission must be absolute")
    proxy = _proxy(options["--proxy"], options["--direct"])
    listeners = _listen({serve.port for admission in admissions for serve in admission.serves})
    from apostille_exchange.run import run

    state = (options["--state"] or [""])[0]
    return run(options["--plan"][0], admissions, state, int(metrics_port), listeners, once, proxy)


def _proxy(given: Sequence[str], direct: Sequence[str]) -> Proxy | None:
    if not given:
        return None
    from apostille_exchange.proxy import parse

    try:
        return parse(given[0], tuple(direct))
    except ValueError as error:
        raise _UsageError(f"run: --proxy: {error}") from None


def _listen(ports: set[int]) -> Sequence[socket]:
    if not ports:
        return ()
    from apostille_exchange.endpoint.listen import bind

    try:
        return bind(ports)
    except OSError:
        return ()  # `run` says so, and tries again


if __name__ == "__main__":
    main()
