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

from apostille_bench.canned_sts import CannedSTS
from apostille_bench.runner import Batch, Variant
from apostille_bench.waiting import until
from apostille_exchange.recipe import Admission, Output, Plan, Recipe, Serve, dumps, run_arguments

AUDIENCE = "https://sts.example"
ROLE = "arn:aws:iam::123456789012:role/reader"
OPERATOR = Path(__file__).parents[3] / "operator"
RATE, REQUESTS = 500, 1000  # a second, open loop: sent when they are due, whether or not the last one was answered
CONNECTIONS = 4
IDLE = 4.0  # seconds
CEILING = 60.0
_until = partial(until, within=CEILING, pause=0.002)
_PROGRAM = f"import sys; sys.path.insert(0, {str(OPERATOR)!r}); from apostille_exchange.main import main; main()"


class Sidecar:
    """As in a pod: the program alone, with the standard library, started cold each time."""

    name = "sidecar"
    question = "what does the exchange sidecar cost, and how fast is it, with 1, 5 and 20 bindings?"

    @contextmanager
    def variants(self, say: Callable[[str], None]) -> Iterator[Sequence[Variant]]:
        """One binding is the baseline."""
        memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
        with tempfile.TemporaryDirectory(dir=memory) as folder, closing(CannedSTS(Path(folder))) as sts:
            yield tuple(
                Variant(
                    str(number),
                    f"{number} binding{'s' * (number > 1)} with an endpoint each",
                    lambda number=number: _batch(sts, number),  # type: ignore[misc]
                )
                for number in (1, 5, 20)
            )


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
        before = _cpu(process.pid)
        replies = _load(port, admissions)
        each = (_cpu(process.pid) - before) / REQUESTS
        after = _memory(process.pid)
    return {
        "listening ms": [listening * 1000],
        "CPU till then ms": [started * 1000],
        "all held ms": [ready * 1000],
        "Private_Dirty MiB": [memory["Private_Dirty"]],
        "after load MiB": [after["Private_Dirty"]],
        "PSS MiB": [memory["Pss"]],
        "idle CPU ms/s": [idle * 1000],
        "reply ms": replies,
        "reply CPU us": [each * 1e6],
    }


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


def _load(port: int, admissions: Sequence[Admission]) -> list[float]:
    """Milliseconds from when each request was due to its whole reply."""
    requests = [
        f"GET /{one.binding}/aws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: "
        f"{Path(one.serves[0].secret).read_text()}\r\n\r\n".encode()
        for one in admissions
    ]
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
