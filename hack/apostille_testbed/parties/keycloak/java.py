"""The machine's Java, and how Keycloak is run with it."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from apostille_testbed import build
from apostille_testbed.golang import BuildError

OLDEST = 17
"""Keycloak's class files are of this version."""

SHORT = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto"
"""Options for a command that is over after a second."""

_OPTIONS = (
    "-Xms64m", "-Xmx384m", "-XX:MetaspaceSize=96M", "-XX:MaxMetaspaceSize=256m",
    # One client at a time, for minutes: what the better compiler gains later costs more than it brings.
    "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError",
    "-Dfile.encoding=UTF-8", "-Duser.language=en", "-Duser.country=US",
    # From here on as in its own kc.sh, which leaves a shell between us and the server.
    "--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.security=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--enable-native-access=ALL-UNNAMED",
    "-Djava.util.concurrent.ForkJoinPool.common.threadFactory="
    "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "-Dpicocli.disable.closures=true",
)  # fmt: skip


def missing() -> str:
    """Why this machine cannot run Keycloak, or empty."""
    try:
        program()
    except BuildError as error:
        return str(error)
    return ""


def program() -> Path:
    """``java`` of ``$JAVA_HOME`` or PATH. Raises BuildError where there is none that is new enough."""
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    told = build.told(found, "--version") if found else None
    version = re.search(r"\d+", told or "")
    if found is None or version is None or int(version[0]) < OLDEST:
        raise BuildError(f"Keycloak needs Java {OLDEST} or later; there is {told or 'none'}")
    return Path(found)


def command(home: Path) -> list[str | Path]:
    """Runs the installation in ``home``; its own command and options follow."""
    return [
        program(),
        *_OPTIONS,
        f"-Dkc.home.dir={home}",
        f"-Djboss.server.config.dir={home / 'conf'}",
        "-cp",
        home / "lib" / "quarkus-run.jar",
        "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
    ]
