"""A pod has its own user, mounts and network; nothing of it reaches the host or survives its runner."""

from __future__ import annotations

import functools
import http.server
import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from apostille_testbed import ControlPlane
from apostille_testbed.pods import Image, PodRunner, Route
from testbed.pod_runner_scene import SLEEP, Scene, container, is_ready, pod, scene, until

pytestmark = pytest.mark.integration


@pytest.fixture
def world(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Scene]:
    with scene(control_plane, namespace, tmp_path / "node") as made:
        yield made


@pytest.fixture
def runner(world: Scene) -> Iterator[PodRunner]:
    with world.runner() as made:
        yield made


LISTEN = "import http.server as h; h.HTTPServer(('', 8080), h.SimpleHTTPRequestHandler).serve_forever()"


@pytest.mark.usefixtures("isolation")
def test_two_pods_listen_on_one_port(runner: PodRunner, world: Scene) -> None:
    probe = {"tcpSocket": {"port": "web"}, "periodSeconds": 1}
    ports = [{"name": "web", "containerPort": 8080}]
    for name in ("p", "q"):
        app = {"name": "app", "image": "python", "command": ["python", "-I", "-S", "-c", LISTEN]}
        world.create(pod(name, app | {"ports": ports, "readinessProbe": probe, "workingDir": "/run"}))
    for name in ("p", "q"):
        runner.wait(world.namespace, name, "Ready")
        with runner.connect(world.namespace, name, 8080) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert b"200 OK" in connection.recv(64)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """An HTTPS server on the host that is called party.example; its CA's file and its port."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("party.example").configure_cert(context)
    (tmp_path / "web").mkdir()
    (tmp_path / "web/hello").write_text("from the host")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    handler = functools.partial(_Quiet, directory=str(tmp_path / "web"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield str(tmp_path / "ca.pem"), listening.server_port
        listening.shutdown()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.mark.usefixtures("isolation")
def test_a_pod_reaches_a_server_of_the_host_by_its_real_name(world: Scene, server: tuple[str, int]) -> None:
    authority, port = server
    fetch = "import urllib.request as r; print(r.urlopen('https://party.example/hello').read().decode())"
    image = Image(entrypoint=["python", "-I", "-c"], env={"SSL_CERT_FILE": authority})
    route = Route(["other.example", "party.example"], 443, ("127.0.0.1", port))
    with world.runner(images={"*": image}, routes=[route]) as runner:
        app = {"name": "app", "image": "client", "args": [fetch]}
        # Not through the host's address: the pod's network has nothing but its own loopback.
        script = f"python -I -S -c \"import socket; socket.create_connection(('127.0.0.1', {port}))\""
        world.create(pod("p", app, container("direct", script), restartPolicy="Never"))
        done = runner.wait(world.namespace, "p", "Failed")
        assert runner.logs(world.namespace, "p", "app") == "from the host\n"
        assert "ConnectionRefusedError" in runner.logs(world.namespace, "p", "direct")
        assert done is not None


@pytest.mark.usefixtures("isolation")
def test_the_file_system_is_the_pods_own(runner: PodRunner, world: Scene, tmp_path: Path) -> None:
    script = f"""
        id -u; id -g; hostname
        echo x >/etc/apostille.dev/sub/file && echo subpath
        echo x 2>/dev/null >/only/read || echo read-only
        touch {tmp_path}/made && echo root-writable
        {SLEEP}"""
    strict = "touch /tmp/x /run/x /etc/x || true; touch /m/ok && echo volume"
    app = container("app", script)
    app["volumeMounts"] = [
        {"name": "m", "mountPath": "/etc/apostille.dev/sub", "subPath": "below"},
        {"name": "d", "mountPath": "/only", "readOnly": True},
    ]
    security = {"readOnlyRootFilesystem": True}
    other = container("other", f"{strict}; {SLEEP}", ("m", "/m"), securityContext=security)
    volumes = [{"name": "m", "emptyDir": {"medium": "Memory"}}, {"name": "d", "emptyDir": {}}]
    identity = {"runAsUser": 4711, "runAsGroup": 4712, "runAsNonRoot": True}
    world.create(pod("p", app, other, volumes=volumes, securityContext=identity))
    runner.wait(world.namespace, "p", "Ready")
    lines = ["4711", "4712", "p", "subpath", "read-only", "root-writable"]
    logs = until(lambda: "root" in (text := runner.logs(world.namespace, "p", "app")) and text, "the container wrote")
    assert logs.split() == lines
    shared = runner.execute(world.namespace, "p", "other", ["cat", "/m/below/file"])
    assert shared.stdout == "x\n"
    refused = until(lambda: "volume" in (text := runner.logs(world.namespace, "p", "other")) and text, "it wrote")
    assert refused.count("Read-only file system") == 3
    assert not (tmp_path / "made").exists()
    assert not Path("/etc/apostille.dev").exists()


def _processes(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                text = (entry / "cmdline").read_bytes()
            except OSError:  # it ended meanwhile
                continue
            if mark.encode() in text:
                found.append(int(entry.name))
    return found


@pytest.mark.usefixtures("isolation")
def test_nothing_outlives_a_killed_runner(world: Scene) -> None:
    mark = f"mark-{world.namespace}"
    command = [
        sys.executable,
        "-m",
        "apostille_testbed.pods",
        *("--kubeconfig", str(world.kubeconfig), "--node-kubeconfig", str(world.node_kubeconfig)),
        *("--name", world.node, "--namespace", world.namespace, "--directory", str(world.directory)),
    ]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(root / "hack")}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"node {world.node} is up\n".encode()
        # A process that has left the container's session as well.
        script = f": {mark}; setsid sh -c ': {mark}; sleep 1000; true' & sleep 1000; true"
        world.create(pod("p", container("app", script, ("m", "/m")), volumes=[{"name": "m", "emptyDir": {}}]))
        until(lambda: len(_processes(mark)) >= 2, "the container and its daemon run")
        process.send_signal(signal.SIGKILL)
        until(lambda: not _processes(mark), "the processes are gone")
        until(lambda: not world.directory.exists(), "the pod's files are gone")
        until(lambda: not _ours(world), "the sandbox is gone")
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _ours(world: Scene) -> list[int]:
    """Sandbox processes that still have a file of this test open or mounted."""
    found = []
    for pid in _processes("inside.py\0"):
        try:
            if str(world.directory) in Path(f"/proc/{pid}/mountinfo").read_text():
                found.append(pid)
        except OSError:  # it ended meanwhile
            continue
    return found


def test_without_namespaces_a_pod_runs_at_real_paths_one_at_a_time(world: Scene, tmp_path: Path) -> None:
    path = tmp_path / "mounted" / "here"
    with world.runner(isolation=False) as runner:
        assert runner.isolation is not None
        assert "one pod at a time" in runner.isolation.message
        volumes = [{"name": "m", "emptyDir": {}}]
        app = container("app", f"echo text >{path}/file; {SLEEP}", ("m", str(path)))
        for name in ("p", "q"):
            world.create(pod(name, app, volumes=volumes, terminationGracePeriodSeconds=1))
        runner.wait(world.namespace, "p", lambda found: any(is_ready(world.pod(name)) for name in ("p", "q")))
        running, waiting = ("p", "q") if is_ready(world.pod("p")) else ("q", "p")
        until(lambda: (path / "file").exists(), "the container wrote to the real path")
        assert runner.execute(world.namespace, running, "app", ["cat", str(path / "file")]).stdout == "text\n"
        assert world.pod(waiting)["status"]["phase"] == "Pending"
        world.call("DELETE", world.core("pods", running))
        runner.wait(world.namespace, waiting, "Ready")
    assert not path.parent.exists()
