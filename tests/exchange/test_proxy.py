"""Through an egress proxy, a real one: TLS stays with the party, and nothing goes where nobody may go."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from apostille.core.inject import inject
from apostille.core.settings import InjectionSettings
from apostille_exchange import errors, transport
from apostille_exchange.errors import ExchangeError
from apostille_exchange.messages import Endpoint, Reply, Request
from apostille_exchange.proxy import Proxy, parse
from apostille_testbed.parties.proxy import Proxy as RealProxy
from builders import plan, pod, sidecar
from exchange.scene import PodFiles, recipe
from exchange.sidecar_process import Sidecar, until
from exchange.test_transport import CannedServer
from testbed.strict_sts_world import AUDIENCE, ROLE, World, world

# Nobody resolves this name (RFC 2606 §2): whoever reaches it, it was by the proxy.
PARTY = "sts.vendor.example"


class Asked(set[str]):
    """Host names that are let through; remembers which were asked for."""

    def __init__(self, *hosts: str) -> None:
        super().__init__(hosts)
        self.names: list[str] = []

    def __contains__(self, host: object) -> bool:
        self.names.append(str(host))
        return super().__contains__(host)


@contextmanager
def proxied(port: int, *hosts: str) -> Iterator[tuple[Proxy, Asked]]:
    asked = Asked(*hosts)
    running = RealProxy(asked, port)
    running.start()
    try:
        yield parse(running.url.removeprefix("http://")), asked
    finally:
        running.close()


@pytest.fixture
def party(tmp_path: Path) -> Iterator[CannedServer]:
    running = CannedServer(tmp_path / "party", [PARTY, "127.0.0.1"])
    yield running
    running.close()


def post(party: CannedServer, proxy: Proxy, host: str = PARTY, ca: str = "") -> Reply:
    return transport.post(Request(Endpoint(host, party.port, "/"), {"a": "b"}), ca or str(party.ca), proxy)


def failure(party: CannedServer, proxy: Proxy, host: str = PARTY, ca: str = "") -> ExchangeError:
    with pytest.raises(ExchangeError) as raised:
        post(party, proxy, host, ca)
    return raised.value


def test_a_party_whose_name_only_the_proxy_knows_is_reached(party: CannedServer) -> None:
    with proxied(party.port, PARTY) as (proxy, asked):
        reply = post(party, proxy)
    assert (reply.status, reply.body) == (200, b"hi")
    assert asked.names == [PARTY]
    assert f"Host: {PARTY}:{party.port}".encode() in party.received[0]


def test_the_party_shows_its_certificate_all_the_same(party: CannedServer, tmp_path: Path) -> None:
    other = CannedServer(tmp_path / "other", [PARTY])
    other.close()
    with proxied(party.port, PARTY, "another.vendor.example") as (proxy, _):
        assert failure(party, proxy, ca=str(other.ca)).reason == errors.TLS_FAILED
        assert failure(party, proxy, host="another.vendor.example").reason == errors.TLS_FAILED
    assert party.received == []


def test_what_the_proxy_refuses_is_said_of_the_proxy(party: CannedServer) -> None:
    with proxied(party.port) as (proxy, _):
        error = failure(party, proxy)
    assert (error.reason, error.permanent) == (errors.UNREACHABLE, False)
    assert error.detail == f"{PARTY}: the egress proxy 127.0.0.1 says 403"


def test_a_proxy_that_is_not_there_is_said_of_the_proxy(party: CannedServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    error = failure(party, Proxy("127.0.0.1", port))
    assert error.reason == errors.UNREACHABLE
    assert "the egress proxy 127.0.0.1: Connection refused" in error.detail


@pytest.mark.parametrize("rule", ["127.0.0.0/8", "127.0.0.1"])
def test_what_is_direct_is_reached_without_it(party: CannedServer, rule: str) -> None:
    with proxied(party.port) as (proxy, asked):
        reply = post(party, Proxy(proxy.host, proxy.port, (".svc", rule)), host="127.0.0.1")
    assert reply.status == 200
    assert asked.names == []


@pytest.mark.parametrize("host", ["169.254.169.254", "fe80::1", "100.100.100.200", "::ffff:169.254.169.254", "0.0.0.0"])  # noqa: S104
def test_no_proxy_is_asked_for_an_address_where_nobody_may_go(party: CannedServer, host: str) -> None:
    with proxied(party.port, host) as (proxy, asked):
        assert failure(party, proxy, host=host).reason == errors.UNREACHABLE
    assert asked.names == []


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[Proxy]:
    """Something that takes one connection in a proxy's place."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                try:
                    answer(connection)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        yield Proxy("127.0.0.1", listener.getsockname()[1])
        thread.join(10)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 ok\r\n\r\n",
        b"HTTP/1.1 407 No\r\n\r\n",
        b"HTTP/1.1 302 Go\r\n\r\n",
        b"",
        b"x" * 20_000,
    ],
    ids=["no HTTP", "no status", "wants a user", "a redirect", "nothing", "no end"],
)
def test_a_proxy_that_is_none_is_unreachable(party: CannedServer, answer: bytes) -> None:
    with answering(lambda connection: connection.sendall(answer)) as proxy:
        assert failure(party, proxy).reason == errors.UNREACHABLE


def test_a_proxy_that_trickles_is_given_up(party: CannedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "TIMEOUT", 0.3)
    enough = threading.Event()

    def trickle(connection: socket.socket) -> None:
        while not enough.wait(0.05):
            connection.sendall(b"x")

    with answering(trickle) as proxy:
        assert failure(party, proxy).reason == errors.UNREACHABLE
        enough.set()


@pytest.mark.parametrize(
    ("host", "through"),
    [
        ("vault.vault.svc", False),
        ("svc", True),
        ("vault.corp.example", False),
        ("corp.example", False),
        ("evilcorp.example", True),
        ("10.1.2.3", False),
        ("11.1.2.3", True),
        ("fd00:1::7", False),
        ("fd00:2::7", True),
        ("sts.amazonaws.com", True),
    ],
)
def test_who_is_direct(host: str, through: bool) -> None:
    proxy = Proxy("p", 1, (".svc", "corp.example", "10.0.0.0/8", "fd00:1::/32"))
    assert proxy.leads_to(host) is through


@pytest.mark.parametrize(
    "text", ["", "p", ":1", "p:", "p:0", "p:65536", "http://p:1", "user:word@p:1", "a b:1", "::1:1", "[p]:1"]
)
def test_an_address_of_a_proxy_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        parse(text)


@pytest.mark.parametrize("mode", ["Sidecar", "Init"])
def test_whoever_exchanges_in_a_pod_is_told_of_it_by_its_arguments(mode: str) -> None:
    settings = InjectionSettings(egress_proxy="proxy.example:3128", egress_direct=(".svc",))
    found = inject(pod(), [plan(sidecar(delivery={"mode": mode}))], settings)
    (added,) = [one["value"] for one in found.operations if str(one["path"]).startswith("/spec/initContainers")]
    (container,) = added if isinstance(added, list) else [added]
    assert {"--proxy=proxy.example:3128", "--direct=.svc"} <= set(container["args"])
    assert not any("PROXY" in variable["name"].upper() for variable in container.get("env", ()))


@pytest.fixture(scope="module")
def sts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("sts")) as running:
        yield running


def test_a_sidecar_exchanges_by_the_proxy_of_its_arguments(sts: World, tmp_path: Path) -> None:
    files = PodFiles(tmp_path)
    admission = files.admission(endpoint=sts.aws.url + "/", ca=str(sts.aws.ca), audience=AUDIENCE)
    files.put_plan(recipe(role=ROLE))
    files.put_token(sts.token())
    with proxied(int(sts.aws.url.rpartition(":")[2]), "127.0.0.1") as (proxy, asked):
        running = Sidecar(files, [admission], f"--proxy={proxy.host}:{proxy.port}")
        try:
            until(running.ready, "a credential is delivered")
        finally:
            running.end()
    assert set(asked.names) == {"127.0.0.1"}
