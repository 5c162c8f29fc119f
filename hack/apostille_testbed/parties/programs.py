"""Relying parties that are programs: pinned like Kubernetes, from PATH or built once into the cache."""

from __future__ import annotations

import shutil
from pathlib import Path

from apostille_testbed import build
from apostille_testbed.build import GO, Source
from apostille_testbed.progress import Console, Say

VAULT = Source(
    module=GO / "vault",
    package="github.com/hashicorp/vault",
    version="v1.21.1",  # the newest that builds against published modules
    variables=(),
    ask=("version",),
    answer="Vault v1.21.1",
    # Upstream's own tag: without it every cloud's and database's SDK is compiled too.
    tags="minimal",
)

_MINIO = "2026-02-12T20-18-48Z"
MINIO = Source(
    module=GO / "minio",
    package="github.com/minio/minio",
    version=_MINIO,
    variables=(
        ("github.com/minio/minio/cmd.Version", "2026-02-12T20:18:48Z"),
        ("github.com/minio/minio/cmd.ReleaseTag", f"DEVELOPMENT.{_MINIO}"),
    ),
    ask=("--version",),
    answer=f"minio version DEVELOPMENT.{_MINIO}",
)

BEXPR = Source(
    module=GO / "bexpr",
    package=".",
    version="v0.1.17+2",
    variables=(),
    ask=("--version",),
    answer="bexpr v0.1.17+2",
)
"""The evaluator of HCP's conditional-access statements, around HashiCorp's go-bexpr; twenty seconds to build."""

SOURCES = {"bexpr": BEXPR, "minio": MINIO, "vault": VAULT}

_found: dict[str, Path] = {}


def program(name: str, say: Say | None = None) -> Path:
    """One of `SOURCES` in exactly the pinned version.

    ``say`` takes lines of progress; default: standard error. Raises BuildError.
    """
    if name not in _found:
        _found[name] = installed(name, say) or build.build(name, say, SOURCES[name])
    return _found[name]


def installed(name: str, say: Say | None = None) -> Path | None:
    """The program on PATH where it is of the pinned version; ``say`` is told when it is another."""
    there = shutil.which(name)
    if there is None:
        return None
    found = build.told(there, *SOURCES[name].ask)
    if found is not None and found.startswith(SOURCES[name].answer):
        return Path(there)
    (say or Console())(f"{there} is {found or 'of unknown version'}, not {SOURCES[name].version}: not used")
    return None
