"""What is written for whom: formats, sets of files that switch together, and who is told."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest

from apostille_exchange.deliver import file_set, files, hook
from apostille_exchange.recipe import Notify, Output, RecipeError
from exchange.scene import Pod, ended, recipe, started
from exchange.sidecar_process import until

FORMATS = {"credentials": "aws-credentials", "process.json": "aws-process", "aws.env": "dotenv", "all.json": "json"}


def pod_with(directory: Path, **formats: str) -> Pod:
    """A pod with one file of each format."""
    folder = directory / "run" / "s3-files"
    outputs = tuple(Output(str(folder / name), form, 0o640) for name, form in formats.items())
    return started(directory, outputs=outputs)


def folder(pod: Pod) -> Path:
    return pod.files.output().parent


def key_of(text: str) -> str:
    """The access key in any of the formats."""
    return text.partition("ASIA")[2][:16]


def test_every_format_holds_the_same_credential(tmp_path: Path) -> None:
    pod = pod_with(tmp_path, **FORMATS)
    pod.tick()
    texts = {name: (folder(pod) / name).read_text() for name in FORMATS}
    assert len({key_of(text) for text in texts.values()}) == 1
    assert all((folder(pod) / name).stat().st_mode & 0o777 == 0o640 for name in FORMATS)
    document = json.loads(texts["process.json"])
    assert document["Version"] == 1
    assert json.loads(texts["all.json"])["expires"] == document["Expiration"]


def test_boto3_takes_a_process_file_up_anew_when_it_has_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = pod_with(tmp_path, **FORMATS)
    pod.files.put_plan(recipe(seconds=900))
    pod.tick()
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = cat {folder(pod) / 'process.json'}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    found = boto3.Session().get_credentials()
    assert found is not None
    assert found.method == "custom-process"
    old = found.access_key
    assert pod.tick(600) == 1
    # Less than fifteen minutes are left of it: botocore reads again.
    assert found.access_key != old


@pytest.mark.parametrize("value", ["plain", "it's", "$(id)", '"', "`x`", "a\\b", "a=b#c", "$HOME"])
def test_a_shell_reads_a_dotenv_file_as_it_was_meant(tmp_path: Path, value: str) -> None:
    from apostille_exchange.credential import Credential
    from apostille_exchange.deliver import dotenv
    from apostille_exchange.deliver.stamp import Stamp

    text = dotenv.render(Credential({"token": value}, 1.0, "p"), Stamp(0, 1, "x"), variable="VAULT_TOKEN")
    path = tmp_path / "vault.env"
    path.write_text(text)
    ran = subprocess.run(
        ["sh", "-c", f'. {path}; printf %s "$VAULT_TOKEN"'], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout == value


def test_a_set_of_files_switches_together(tmp_path: Path) -> None:
    pod = pod_with(tmp_path, **FORMATS)
    pod.tick()
    wrong: list[list[str]] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            # One directory, opened once, is one set: what a reader does that needs several files at once.
            data = (folder(pod) / "..data").resolve()
            try:
                keys = [key_of((data / name).read_text()) for name in FORMATS]
            except FileNotFoundError:
                continue  # two switches since
            if len(set(keys)) != 1:
                wrong.append(keys)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(60):
        pod.tick(2500)
        # Nor is the first of them ever newer than the last, by their own names.
        first, last = (key_of((folder(pod) / name).read_text()) for name in ("credentials", "all.json"))
        assert first <= last
    stop.set()
    for reader in readers:
        reader.join(20)
    assert wrong == []
    assert len(pod.forms) == 61


def test_an_ended_binding_takes_the_whole_set_along(tmp_path: Path) -> None:
    pod = pod_with(tmp_path, **FORMATS)
    pod.tick()
    pod.files.put_plan(ended())
    pod.tick()
    assert list(folder(pod).iterdir()) == []


@pytest.mark.parametrize("moment", ["version", "link", "half"])
def test_a_killed_writer_of_a_set_leaves_the_last_one(tmp_path: Path, moment: str) -> None:
    pod = pod_with(tmp_path, **FORMATS)
    pod.tick()
    before = {name: (folder(pod) / name).read_text() for name in FORMATS}
    if moment == "version":
        (folder(pod) / "..1").mkdir()
        (folder(pod) / "..1" / "credentials").write_text("half")
    elif moment == "link":
        (folder(pod) / "..data_next").symlink_to("..1")
    else:
        (folder(pod) / "..1").mkdir()
        (folder(pod) / "..1" / ".credentials.tmp").write_text("half")
    pod.restart()
    assert pod.tick() == 0, "what was there is taken up"
    assert {name: (folder(pod) / name).read_text() for name in FORMATS} == before
    assert sorted(os.listdir(folder(pod) / "..0")) == sorted([*FORMATS, ".process.json.stamp", ".all.json.stamp"])
    assert not (folder(pod) / "..1").exists()
    pod.tick(2500)
    assert (folder(pod) / "credentials").read_text() != before["credentials"]


def test_a_full_volume_leaves_the_last_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = pod_with(tmp_path, **FORMATS)
    pod.tick()
    before = pod.content()
    written: list[str] = []
    write = files.write

    def full(path: str, content: str, mode: int) -> None:
        written.append(path)
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        write(path, content, mode)

    with monkeypatch.context() as patch:
        patch.setattr(file_set.files, "write", full)
        pod.tick(2500)
    assert pod.log.lines[-1]["reason"] == "NotDelivered"
    assert {key_of((folder(pod) / name).read_text()) for name in FORMATS} == {key_of(before)}
    pod.run(5)
    assert {key_of((folder(pod) / name).read_text()) for name in FORMATS} != {key_of(before)}


@pytest.mark.parametrize(
    ("output", "what"),
    [
        (Output("/x", "token"), "needs token"),
        (Output("/x", "json", 0o600, "V"), "has no variables"),
        (Output("/x", "no-such"), "is not known"),
    ],
)
def test_a_format_that_cannot_hold_the_credential_is_refused(tmp_path: Path, output: Output, what: str) -> None:
    pod = started(tmp_path, outputs=(output,))
    assert what in next(line["detail"] for line in pod.log.lines if line.get("reason") == "AdmissionRefused")


class Listener(ThreadingHTTPServer):
    """The application's own server, which wants to know."""

    def __init__(self, status: int = 204) -> None:
        self.told: list[tuple[str, dict[str, str]]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                server.told.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


def test_the_application_is_told_of_every_credential_and_of_nothing_secret(tmp_path: Path) -> None:
    with Listener() as server:
        pod = started(tmp_path, notify=Notify(port=server.server_port, path="/-/reload?x=y"))
        pod.tick()
        pod.tick(2500)
        assert [path for path, _ in server.told] == ["/-/reload?x=y"] * 2
        assert all(headers["apostille-binding"] == "s3-files" for _, headers in server.told)
        key = key_of(pod.content())
        assert key not in str(server.told)
        (standing,) = pod.exchanger.standings()
        assert standing.counts.notifications == {"told": 2}


def test_nobody_there_to_be_told_harms_nothing(tmp_path: Path) -> None:
    with Listener(status=500) as server:
        pod = started(tmp_path, notify=Notify(port=server.server_port))
        pod.tick()
    pod.tick(2500)
    assert pod.log.reasons() == ["Exchanged", "NotNotified", "Exchanged", "NotNotified"]
    assert pod.log.lines[1]["detail"] == "OSError: answered 500"
    assert pod.exchanger.standings()[0].state == "fresh"


def test_a_program_is_signalled_by_its_name(tmp_path: Path) -> None:
    program = tmp_path / "apo-reloadable"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    with subprocess.Popen([str(program), "60"]) as process:
        until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "apo-reloadable\n", "it runs")
        pod = started(tmp_path, notify=Notify(signal="USR1", process="apo-reloadable"))
        pod.tick()
        assert process.wait(20) == -signal.SIGUSR1
    with pytest.raises(ProcessLookupError):
        hook.tell(Notify(signal="USR1", process="apo-reloadable"), "b")


@pytest.mark.parametrize(
    "bad",
    [
        Notify(signal="KILL", process="x"),
        Notify(signal="HUP"),
        Notify(signal="HUP", process="/bin/x"),
        Notify(port=1, path="x"),
        Notify(port=1, path="/a b"),
        Notify(port=1, path="/a\r\nX: y"),
    ],
)
def test_who_cannot_be_told_is_refused(bad: Notify) -> None:
    with pytest.raises(RecipeError, match=r"admission\.notify"):
        hook.check(bad)
