"""Apostille on a real control plane with the quickstart applied: what scenarios measure on."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from apostille_testbed import ControlPlane, Installation, control_plane

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / "examples" / "quickstart"
READY_SECONDS = 60.0


@contextmanager
def quickstart(say: Callable[[str], None]) -> Iterator[tuple[ControlPlane, Installation]]:
    """Yields once the trust and the binding of ``examples/quickstart`` are Ready."""
    with control_plane(say=say) as plane, Installation(plane) as installation:
        for file in sorted(QUICKSTART.glob("[012]*.yaml")):
            plane.kubectl("apply", "-f", file)
        for what in ("ftrust/aws-prod", "wbind/s3-reader"):
            plane.kubectl("wait", f"--timeout={READY_SECONDS:.0f}s", "-n", "payments", "--for=condition=Ready", what)
        yield plane, installation


class Caller:
    """One keep-alive connection that posts JSON and takes the time of each call."""

    def __init__(self, url: str, ca: Path, pair: tuple[Path, Path] | None = None) -> None:
        self._context = ssl.create_default_context(cafile=str(ca))
        if pair is not None:
            self._context.load_cert_chain(*map(str, pair))
        self._host = url.removeprefix("https://")
        self._connection = http.client.HTTPSConnection(self._host, context=self._context, timeout=30)

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def post(self, path: str, body: bytes, refused: Collection[int] = ()) -> tuple[float, dict[str, Any]]:
        """(milliseconds, answer). Raises RuntimeError for anything but success and the codes in ``refused``."""
        began = time.perf_counter()
        self._connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        text = response.read()
        took = (time.perf_counter() - began) * 1000
        if response.status >= 300 and response.status not in refused:
            raise RuntimeError(f"POST {path}: {response.status} {text[:300]!r}")
        answer: dict[str, Any] = json.loads(text)
        return took, answer

    def warnings(self, path: str, body: bytes) -> list[str]:
        """The texts of the warnings that come with an answer."""
        self._connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        response.read()
        found = response.headers.get_all("Warning") or []
        return [text for header in found for text in re.findall(r'299 \S+ "((?:[^"\\]|\\.)*)"', header)]


@contextmanager
def two_servers(plane: ControlPlane) -> Iterator[tuple[Caller, Caller]]:
    """The administrator's connections to the API server and to a second one on the same etcd, which is started."""
    admin = plane.authority.client("bench", "bench", ["system:masters"])
    urls = plane.url, plane.second_apiserver().url
    with closing(Caller(urls[0], plane.ca, admin)) as first, closing(Caller(urls[1], plane.ca, admin)) as second:
        yield first, second


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, over all its threads (proc schedstat: nanoseconds)."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e9
