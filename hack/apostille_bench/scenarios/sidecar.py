"""The exchange sidecar by its number of bindings: memory, start, replies from memory under load, idling."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

from apostille_bench import reply_floor
from apostille_bench.canned_sts import CannedSTS
from apostille_bench.runner import Batch, Variant
from apostille_bench.waiting import until
from apostille_exchange.recipe import Admission, Output, Plan, Recipe, Serve, dumps, run_arguments

AUDIENCE = "https://sts.example"
ROLE = "arn:aws:iam::123456789012:role/reader"
OPERATOR = Path(__file__).parents[3] / "operator"
RATE, REQUESTS = 500, 1000  # a second, open loop: sent when they are due, whether or not the last one was answered
CONNECTIONS = 4
REPLY = 1100  # bytes of JSON, as AWS' are
IDLE = 4.0  # seconds
CEILING = 60.0
_until = partial(until, within=CEILING, pause=0.002)
_PROGRAM = f"import sys; sys.path.insert(0, {str(OPERATOR)!r}); from apostille_exchange.main import main; main()"


class Sidecar:
    """As in a pod: the program alone, with the standard library, started cold each time."""

    name = "sidecar"
    question = (
        "what does the exchange sidecar cost with 1, 5 and 20 bindings, and a reply beside the least there can be?"
    )

    @contextmanager
    def variants(self, say: Callable[[str], None]) -> Iterator[Sequence[Variant]]:
        """The baseline sends one text and does nothing else: what a reply takes on this machine, as busy as it is."""
        memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
        with tempfile.TemporaryDirectory(dir=memory) as folder, closing(CannedSTS(Path(folder))) as sts:
            yield (
                Variant("floor", "a program that sends one text", _floor),
                *(
                    Variant(
                        str(number),
                        f"{number} binding{'s' * (number > 1)} with an endpoint each",
                        lambda number=number: _batch(sts, number),  # type: ignore[misc]
                    )
                    for number in (1, 5, 20)
                ),
            )


def _floor() -> Batch:
    port = _free_port()
    argv = [sys.executable, "-I", "-S", reply_floor.__file__, str(port), str(REPLY)]
    process = subprocess.Popen(argv, env={"PATH": os.environ["PATH"]})
    try:
        _until(lambda: _listens(port), "it listens")
        replies, each = _asked(process.pid, port, [_request(port, "floor", "x" * 64)])
        memory = _memory(process.pid)
    finally:
        _end(process)
    return {"Private_Dirty MiB": [memory["Private_Dirty"]], **_replies(replies, each)}


def _batch(sts: CannedSTS, bindings: int) -> Batch:
    with tempfile.TemporaryDirectory(dir=sts.ca.parent) as folder, ExitStack() as stack:
        directory, port = Path(folder), _free_port()
        admissions = [_admission(directory, f"b{number}", port, sts) for number in range(bindings)]
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, *run_arguments(admissions, str(directory / "plan"))],
            env={"PATH": os.environ["PATH"]},
            stderr=subprocess.DEVNULL,
        )
        stack.callback(_end, process)
        listening = _until(lambda: _listens(port), "it listens") - began
        started = _cpu(process.pid)
        ready = _until(lambda: all(Path(a.outputs[0].path).exists() for a in admissions), "all are held") - began
        time.sleep(1.5)  # what starting left behind has settled
        before = _cpu(process.pid)
        time.sleep(IDLE)
        idle = (_cpu(process.pid) - before) / IDLE
        memory = _memory(process.pid)
        secrets = {one.binding: Path(one.serves[0].secret).read_text() for one in admissions}
        asks = [_request(port, binding, secret) for binding, secret in secrets.items()]
        replies, each = _asked(process.pid, port, asks)
        after = _memory(process.pid)
    return {
        "listening ms": [listening * 1000],
        "CPU till then ms": [started * 1000],
        "all held ms": [ready * 1000],
        "Private_Dirty MiB": [memory["Private_Dirty"]],
        "after load MiB": [after["Private_Dirty"]],
        "PSS MiB": [memory["Pss"]],
        "idle CPU ms/s": [idle * 1000],
        **_replies(replies, each),
    }


def _replies(milliseconds: list[float], each: float) -> Batch:
    worst = sorted(milliseconds)[int(len(milliseconds) * 0.99)]
    return {"reply ms": milliseconds, "reply p99 ms": [worst], "reply CPU us": [each * 1e6]}


def _admission(directory: Path, binding: str, port: int, sts: CannedSTS) -> Admission:
    claims = {"aud": [AUDIENCE], "sub": "system:serviceaccount:payments:reader", "jti": binding}
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims))
    (directory / f"{binding}.token").write_text(".".join(parts) + ".c2ln")
    recipes = {
        f"b{number}": Recipe(f"b{number}", {"roleARN": ROLE, "roleSessionName": "bench"}) for number in range(20)
    }
    (directory / "plan").write_text(dumps(Plan(dict.fromkeys(recipes, "0123456789abcdef"), recipes)))
    kept = Output(str(directory / binding / ".kept"), "kept", 0o600)
    return Admission(
        binding, "AWSWebIdentity", sts.url, AUDIENCE, str(directory / f"{binding}.token"), (kept,), 3600, str(sts.ca),
        serves=(Serve("aws", port, str(directory / binding / "authorization")),),
    )  # fmt: skip


def _request(port: int, binding: str, secret: str) -> bytes:
    lines = (f"GET /{binding}/aws HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Authorization: {secret}", "", "")
    return "\r\n".join(lines).encode()


def _asked(pid: int, port: int, requests: Sequence[bytes]) -> tuple[list[float], float]:
    """`_load`, and the seconds of processor time that a reply took the process."""
    before = _cpu(pid)
    replies = _load(port, requests)
    return replies, (_cpu(pid) - before) / REQUESTS


def _load(port: int, requests: Sequence[bytes]) -> list[float]:
    """Milliseconds from when each request was due to its whole reply."""
    connections = [socket.create_connection(("127.0.0.1", port), CEILING) for _ in range(CONNECTIONS)]
    took = []
    begin = time.perf_counter() + 0.05
    for number in range(REQUESTS):
        due = begin + number / RATE
        if (wait := due - time.perf_counter()) > 0:
            time.sleep(wait)
        connection = connections[number % CONNECTIONS]
        connection.sendall(requests[number % len(requests)])
        received = b""
        while b"}" not in received:
            received += connection.recv(65536)
        took.append((time.perf_counter() - due) * 1000)
        if not received.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"it answered {received[:60]!r}")
    for connection in connections:
        connection.close()
    return took


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _memory(pid: int) -> dict[str, float]:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {name: int(kilobytes) / 1024 for name, kilobytes in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}


def _cpu(pid: int) -> float:
    """Seconds of processor time so far, of all its threads."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    nanoseconds = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)
    # A kernel that does not keep them says zero.
    return nanoseconds / 1e9 if nanoseconds else _ticks(pid)


def _ticks(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        return int(reserved.getsockname()[1])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(CEILING)
