"""Keycloak's distribution from Maven Central, prepared once: augmented, and with a database that has its tables.

What is kept is the folder ``lib``, the command line, a database and the administrator's password. Without the
preparation every start would compile the configuration and make a hundred tables.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
import socket
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from apostille_testbed import processes
from apostille_testbed.cache import Entry
from apostille_testbed.golang import BuildError
from apostille_testbed.parties.keycloak import java
from apostille_testbed.ports import ListenerPort
from apostille_testbed.progress import Console, Say, Work, clock

VERSION = "26.7.3"
ADMINISTRATOR = "admin"
PASSWORD_FILE = "password"
DATABASE = Path("data") / "h2" / "keycloakdb.mv.db"
"""The database inside a home folder."""
COMMAND_LINE = Path("bin") / "kcadm.sh"
"""Keycloak's own command line inside the distribution."""

_SHA256 = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f"
_NAME = f"keycloak-quarkus-dist-{VERSION}"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
_BUILD_OPTIONS = ("--db=dev-file",)
_PREPARATION = "2"
_LONGEST = 600.0


def missing() -> str:
    """Why this machine cannot have Keycloak, or empty."""
    if why := java.missing():
        return why
    if not entry().directory.exists() and shutil.which("mvn") is None:
        return "Keycloak comes from Maven Central through Maven's client; there is no mvn on PATH"
    return ""


def entry() -> Entry:
    """Its entry in the cache."""
    inputs = {"version": VERSION, "sum": _SHA256, "options": " ".join(_BUILD_OPTIONS), "preparation": _PREPARATION}
    return Entry("keycloak", inputs, lock="keycloak")


def build(say: Say | None = None) -> Path:
    """The folder of the prepared distribution, fetched and prepared first where it is missing. Raises BuildError."""
    report = say or Console()
    if why := missing():
        raise BuildError(why)
    return entry().make(lambda work: _build(work, report), report)


def home(distribution: Path, directory: Path) -> Path:
    """A home folder of one server: its own database, the distribution's programs."""
    database = directory / DATABASE
    database.parent.mkdir(parents=True, exist_ok=True)
    for folder in ("conf", "providers", "themes"):
        (directory / folder).mkdir(exist_ok=True)
    if not (directory / "lib").exists():
        (directory / "lib").symlink_to(distribution / "lib")
        shutil.copy(distribution / DATABASE, database)
    return directory


def _build(work: Path, say: Say) -> None:
    preparing = Work(say, "keycloak")
    say(f"keycloak {VERSION}: fetching 177 MB with Maven, usually 5–60 s")
    archive = _fetch(work, preparing)
    if (found := hashlib.sha256(archive.read_bytes()).hexdigest()) != _SHA256:
        raise BuildError(f"{archive.name} has the sum {found}, not {_SHA256}")
    with zipfile.ZipFile(archive) as packed:
        wanted = tuple(f"keycloak-{VERSION}/{part}" for part in ("lib/", "bin/client/", COMMAND_LINE))
        packed.extractall(work, [member for member in packed.namelist() if member.startswith(wanted)])
    archive.unlink()
    for folder in ("lib", "bin"):
        (work / f"keycloak-{VERSION}" / folder).rename(work / folder)
    (work / f"keycloak-{VERSION}").rmdir()
    (work / COMMAND_LINE).chmod(0o755)
    for folder in ("conf", "providers", "themes"):
        (work / folder).mkdir()
    say("keycloak: compiling its configuration and making its database, usually 1–3 min")
    _run("augment", [*java.command(work), "build", *_BUILD_OPTIONS], work, preparing)
    _make_database(work, preparing)
    for folder in ("conf", "providers", "themes", "data/transaction-logs", "data/tmp"):
        shutil.rmtree(work / folder, ignore_errors=True)
    for file in (*work.glob("*.log"), *work.glob("data/h2/*.trace.db")):
        file.unlink()
    preparing.done(f"ready after {clock(preparing.elapsed)}")


def _fetch(work: Path, preparing: Work) -> Path:
    maven = shutil.which("mvn")
    assert maven is not None, "asked before"
    artifact = f"-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
    _run("fetch", [maven, "-B", "-q", _COPY, artifact, f"-DoutputDirectory={work}"], work, preparing)
    return work / f"{_NAME}.zip"


def _make_database(work: Path, preparing: Work) -> None:
    password = secrets.token_urlsafe(24)
    (work / PASSWORD_FILE).write_text(password)
    port = ListenerPort()
    running = processes.start(
        "first-start",
        [
            *java.command(work),
            *("start", "--optimized", "--http-enabled=true", "--http-host=127.0.0.1", f"--http-port={port}"),
            *("--hostname-strict=false", "--cache=local"),
        ],
        work,
        env={"PATH": "/usr/bin:/bin", "HOME": str(work)}
        | {"KC_BOOTSTRAP_ADMIN_USERNAME": ADMINISTRATOR, "KC_BOOTSTRAP_ADMIN_PASSWORD": password},
    )
    try:
        _wait(running, preparing, lambda: _listens(port.number))
    finally:
        running.stop(grace=60)  # an H2 database is whole once it was closed
        port.close()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _run(phase: str, argv: list[str | Path], work: Path, preparing: Work) -> None:
    running = processes.start(phase, argv, work)
    try:
        _wait(running, preparing, lambda: not running.running)
        if running.returncode != 0:
            raise BuildError(f"keycloak: {phase} failed:\n{running.tail(30)}")
    finally:
        running.kill()


def _wait(running: processes.Process, preparing: Work, done: Callable[[], bool]) -> None:
    give_up = time.monotonic() + _LONGEST
    while not done():
        preparing.tick(lambda: f"{running.name}, {clock(preparing.elapsed)} elapsed")
        if not running.running and not done():
            raise BuildError(f"keycloak: {running.name} ended:\n{running.tail(30)}")
        if time.monotonic() > give_up:
            raise BuildError(f"keycloak: {running.name} takes too long:\n{running.tail(30)}")
        time.sleep(0.1)
