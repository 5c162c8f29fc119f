"""The sidecar as a process at the strict STS: start, kill, restart, swap, end, and what it lets out."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apostille_exchange.recipe import Admission, Output, Serve, run_arguments
from exchange.scene import PodFiles, ended, plan_text, recipe
from exchange.sidecar_process import CEILING, Sidecar, program, until
from testbed.strict_sts_world import AUDIENCE, ROLE, SUBJECT, World, role, world

WRITER = ROLE.replace("payments-reader", "payments-writer")
_VALUE = re.compile(r"^aws_(?:access_key_id|secret_access_key|session_token) = (.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def sts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("sts")) as running:
        running.aws.iam.apply_role(role("payments-writer"))
        yield running


class Container:
    """The sidecar of one pod, and every secret that went through it."""

    def __init__(self, sts: World, directory: Path) -> None:
        self.files = PodFiles(directory)
        self._sts = sts
        self._secrets: set[str] = set()
        self.sidecar: Sidecar | None = None

    def admission(self, binding: str = "s3-files", **changes: Any) -> Admission:
        """What it was admitted for: the strict STS."""
        usual = {"endpoint": self._sts.aws.url + "/", "ca": str(self._sts.aws.ca), "audience": AUDIENCE}
        return self.files.admission(binding, **usual | changes)

    def start(self, *admissions: Admission, **changes: Any) -> Sidecar:
        """Starts it, for one binding unless told otherwise."""
        self.sidecar = Sidecar(self.files, admissions or [self.admission(**changes)])
        return self.sidecar

    def put_token(self, text: str) -> None:
        """The kubelet writes a token."""
        self._secrets.update(text.split("."))
        self.files.put_token(text)

    def content(self) -> str:
        """The credentials file; empty when there is none."""
        path = self.files.output()
        text = path.read_text() if path.exists() else ""
        self._secrets.update(_VALUE.findall(text))
        return text

    def delivered(self, other_than: str = "") -> str:
        """Waits for a credentials file."""
        return str(until(lambda: (found := self.content()) != other_than and found, "a credential is delivered"))

    def close(self) -> None:
        """Ends it, and looks for secrets in all it wrote."""
        if self.sidecar is None:
            return
        shown = self.sidecar.output()
        if self.sidecar.running():
            process = Path(f"/proc/{self.sidecar.pid}")
            shown += (process / "cmdline").read_text() + (process / "environ").read_text()
            self.sidecar.end(signal.SIGKILL)
        assert [secret for secret in self._secrets if secret in shown] == []


@pytest.fixture
def container(sts: World, tmp_path: Path) -> Iterator[Container]:
    made = Container(sts, tmp_path)
    made.files.put_plan(recipe(role=ROLE))
    made.put_token(sts.token(jti="jti-1"))
    yield made
    sts.aws.start()
    made.close()


def test_it_becomes_ready_with_its_first_credential_and_says_so_in_one_line(sts: World, container: Container) -> None:
    sts.aws.stop()
    sidecar = container.start()
    until(lambda: sidecar.said("Unreachable"), "the first try fails")
    assert not sidecar.ready()
    sts.aws.start()
    container.delivered()
    assert sidecar.ready()
    line = until(lambda: sidecar.said("Exchanged"), "it is logged")[0]
    assert line | {"time": "…", "expires": "…", "credential": "…"} == {
        "time": "…",
        "level": "info",
        "logger": "apostille.exchange",
        "message": "exchanged",
        "result": "Exchanged",
        "state": "fresh",
        "binding": "s3-files",
        "grant": "AWSWebIdentity",
        "jti": "jti-1",
        "sub": SUBJECT,
        "expires": "…",
        "credential": "…",
    }

    def states() -> list[str]:
        return [line["state"] for line in sidecar.lines() if line["message"] == "state"]

    until(lambda: states()[-1] == "fresh", "its state is told")
    # Of a state that ended before anybody looked nothing is told.
    assert [state for state in states() if state != "pending"] == ["failed", "fresh"]
    assert re.fullmatch(r"sha256:[0-9a-f]{16}", line["credential"])
    assert line["expires"] in container.content()


def test_a_killed_sidecar_is_ready_again_at_once_without_its_party(sts: World, container: Container) -> None:
    sidecar = container.start()
    before = container.delivered()
    assert sidecar.end(signal.SIGKILL) == -signal.SIGKILL
    sts.aws.stop()
    sidecar.start()
    assert sidecar.ready()
    until(lambda: "goes on with the credential of before the restart" in sidecar.output(), "it adopts the file")
    assert container.content() == before
    assert sidecar.said("Unreachable") == []


def test_sigterm_ends_it_at_once_with_the_file_in_place(container: Container) -> None:
    sidecar = container.start()
    before = container.delivered()
    assert sidecar.end() == 0
    assert container.content() == before
    assert [path.name for path in container.files.output().parent.iterdir()] == ["credentials"]


def test_sigterm_ends_it_while_its_party_hangs(container: Container) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sidecar = container.start(endpoint=f"https://127.0.0.1:{silent.getsockname()[1]}/")
        silent.settimeout(20)
        connection, _ = silent.accept()
        with connection:
            connection.settimeout(20)
            assert connection.recv(1) != b""
            assert sidecar.end() == 0
    assert not container.files.output().exists()


def test_a_party_that_hangs_does_not_hold_up_another_binding(container: Container) -> None:
    files = container.files
    files.put_plan(recipe(role=ROLE), recipe("other"))
    files.put_token(files.token().read_text(), "other")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hanging = container.admission("other", endpoint=f"https://127.0.0.1:{silent.getsockname()[1]}/")
        container.start(container.admission(), hanging, container.admission("late"))
        silent.settimeout(20)
        connection, _ = silent.accept()
        with connection:
            container.delivered()
            # What comes later is served too.
            files.put_plan(recipe(role=ROLE), recipe("other"), recipe("late", role=ROLE))
            files.put_token(files.token().read_text(), "late")
            until(files.output("late").exists, "the third binding is served")
    assert not files.output("other").exists()


def test_sigterm_ends_it_while_it_waits_for_its_plan(container: Container) -> None:
    container.files.plan.unlink()
    sidecar = container.start()
    until(lambda: sidecar.said("PlanUnreadable"), "it waits")
    assert sidecar.end(signal.SIGINT) == 0


def test_a_running_pod_follows_its_binding(sts: World, container: Container) -> None:
    sidecar = container.start()
    reader = container.delivered()
    container.files.put_plan(recipe(role=WRITER))
    writer = container.delivered(other_than=reader)
    assert sts.aws.exchanges[-1].role == WRITER
    for broken in (plan_text(ended())[:-4], "", json.dumps({"format": 9})):
        container.files.put_plan_text(broken)
    until(lambda: sidecar.said("PlanUnreadable"), "it says what is wrong")
    assert container.content() == writer
    container.files.put_plan(ended())
    until(lambda: not container.files.output().exists(), "the credential is dropped")
    asked = len(sts.aws.exchanges)
    container.files.put_plan(recipe(role=ROLE))
    container.delivered()
    assert len(sts.aws.exchanges) == asked + 1
    assert sidecar.running()


def test_what_reaches_beyond_the_admission_is_refused_and_changes_nothing(sts: World, container: Container) -> None:
    sidecar = container.start(session_seconds=900)
    before = container.delivered()
    clamped = until(lambda: sidecar.said("RecipeClamped"), "the session is clamped")
    assert clamped[0]["detail"] == "sessionSeconds: 3600 is above 900"
    asked = len(sts.aws.exchanges)
    container.files.put_plan(recipe(role="arn:aws:iam::123456789012:user/root"), recipe("other-binding"))
    until(lambda: len(sidecar.said("RecipeRefused")) == 2, "both are refused")
    assert (container.content(), len(sts.aws.exchanges)) == (before, asked)


def test_a_token_that_the_kubelet_replaces_is_taken_up(sts: World, container: Container) -> None:
    container.put_token(sts.token("system:serviceaccount:payments:other", jti="jti-other"))
    sidecar = container.start()
    refused = until(lambda: sidecar.said("ConditionRejected"), "STS refuses")[0]
    assert (refused["code"], refused["jti"]) == ("AccessDenied", "jti-other")
    container.put_token(sts.token(jti="jti-right"))
    container.delivered()
    exchanged = until(lambda: sidecar.said("Exchanged"), "it is logged")
    assert [line["jti"] for line in exchanged] == ["jti-right"]


class Asked:
    """The endpoint of a sidecar that runs as a process, asked as an SDK would."""

    def __init__(self, container: Container) -> None:
        self.port = free_port()
        folder = container.files.credentials / "s3-files"
        self.secret = folder / "authorization"
        self.serves = (Serve("aws", self.port, str(self.secret)),)
        self.outputs = (Output(str(folder / ".kept"), "kept", 0o600),)

    def get(self, path: str = "/s3-files/aws") -> tuple[int, dict[str, Any]]:
        """Raises OSError while nobody listens."""
        headers = {"Authorization": self.secret.read_text()} if self.secret.exists() else {}
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(client):
            client.request("GET", path, headers=headers)
            reply = client.getresponse()
            return reply.status, json.loads(reply.read())

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.get()[0] == 200
        return False


def free_port() -> int:
    """One that nobody had a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        return int(reserved.getsockname()[1])


def test_the_endpoint_of_a_process_answers_and_is_ready_with_its_first_credential(container: Container) -> None:
    asked = Asked(container)
    sidecar = container.start(serves=asked.serves, outputs=asked.outputs)
    until(asked.answers, "it answers")
    assert sidecar.ready()
    got = asked.get()[1]
    container._secrets.update((got["SecretAccessKey"], got["Token"], asked.secret.read_text()))
    assert sidecar.end(signal.SIGKILL) == -signal.SIGKILL
    sidecar.start()
    until(asked.answers, "it answers again")
    assert asked.get()[1] == got, "from what it kept"
    assert sidecar.end() == 0
    with pytest.raises(OSError, match="refused"):
        asked.get()


def test_a_port_that_is_taken_is_told_and_tried_again(container: Container) -> None:
    asked = Asked(container)
    with socket.create_server(("127.0.0.1", asked.port)):
        sidecar = container.start(serves=asked.serves, outputs=asked.outputs)
        until(lambda: sidecar.said("PortTaken"), "it is told")
        assert not sidecar.ready(), "nothing is fetched that nobody can ask for"
        assert sidecar.running()
    until(asked.answers, "it has its port")
    assert len(sidecar.said("PortTaken")) == 1


def test_what_is_counted_and_how_it_stands_is_told_without_anything_of_it(container: Container) -> None:
    state, port = container.files.directory / "state", free_port()
    admission = container.admission()
    sidecar = container.sidecar = Sidecar(container.files, [admission], f"--state={state}", f"--metrics-port={port}")
    container.delivered()
    until(lambda: state.exists() and "fresh" in state.read_text(), "the state is written")
    shown = subprocess.run(program("status", str(state)), capture_output=True, text=True, check=True, timeout=60).stdout
    assert json.loads(shown)["s3-files"]["state"] == "fresh"
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(client):
        client.request("GET", "/metrics")
        text = client.getresponse().read().decode()
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert 'apostille_exchange_state{binding="s3-files",state="fresh"} 1' in samples
    assert 'apostille_exchange_exchanges_total{binding="s3-files",result="exchanged"} 1' in samples
    assert sum(line.startswith("apostille_exchange_state{") and line.endswith(" 1") for line in samples) == 1
    assert [part for part in container._secrets if part and part in text + shown] == []
    container.files.put_plan(ended())
    until(lambda: "ended" in state.read_text(), "the state follows")
    assert sidecar.end() == 0


def test_once_it_ends_with_the_first_credential_and_leaves_it(container: Container, sts: World) -> None:
    admissions = [container.admission(), container.admission("other")]
    container.files.put_plan(recipe(role=ROLE), recipe("other", role=ROLE))
    container.put_token(sts.token())
    command = program(*run_arguments(admissions, str(container.files.plan), "--once"))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        # It waits for the second binding's assertion, as an init container waits for the kubelet.
        until(container.content, "the first credential is there")
        assert running.poll() is None
        container.files.put_token(sts.token(), "other")
        assert running.wait(CEILING) == 0
        told = running.stderr.read()
    assert "aws_session_token" in container.content()
    assert container.files.output("other").exists()
    assert [json.loads(line)["result"] for line in told.splitlines() if '"result"' in line][-1] == "Exchanged"
    assert "revoked" not in told
