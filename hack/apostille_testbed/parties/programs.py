"""Relying parties that are programs: pinned like Kubernetes, from PATH or built once into the cache."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from apostille_testbed import build
from apostille_testbed.build import GO, Source
from apostille_testbed.parties.keycloak import distribution
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

OPENBAO = Source(
    module=GO / "openbao",
    package="github.com/openbao/openbao",
    # In go.mod by its commit: its path lacks the /v2 that Go asks for. Later ones need an SDK that is not served.
    version="v2.4.0",
    variables=(("github.com/openbao/openbao/version.fullVersion", "2.4.0"),),
    ask=("version",),
    answer="OpenBao v2.4.0",
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

MC = Source(
    module=GO / "mc",
    package="github.com/minio/mc",
    version="2025-03-13",  # the newest that is published as a module
    variables=(("github.com/minio/mc/cmd.ReleaseTag", "DEVELOPMENT.2025-03-13"),),
    ask=("--version",),
    answer="mc version DEVELOPMENT.2025-03-13",
)
"""MinIO's command line, which runs the rendered script; its packages are MinIO's but for a few."""

BEXPR = Source(
    module=GO / "bexpr",
    package=".",
    version="v0.1.17+2",
    variables=(),
    ask=("--version",),
    answer="bexpr v0.1.17+2",
)
"""The evaluator of HCP's conditional-access statements, around HashiCorp's go-bexpr; twenty seconds to build."""

HCP_CALLER = Source(
    module=GO / "hcp-caller",
    package=".",
    version="v0.175.0+1",
    variables=(),
    ask=("--version",),
    answer="hcp-caller v0.175.0+1",
)
"""Asks HCP who it is, with its unmodified SDK for Go, and has bodies of requests read by the SDK's models."""

HYDRA = Source(
    module=GO / "hydra",
    package="github.com/ory/hydra/v2",
    version="v2.3.0",
    variables=(("github.com/ory/hydra/v2/driver/config.Version", "v2.3.0"),),
    ask=("version",),
    answer="Version:    v2.3.0",
    # Its only store that needs no server, in memory, is SQLite's C code.
    tags="sqlite",
    cgo=True,
)

SOURCES = {
    "vault": VAULT,
    "openbao": OPENBAO,
    "minio": MINIO,
    "mc": MC,
    "hydra": HYDRA,
    "bexpr": BEXPR,
    "hcp-caller": HCP_CALLER,
}

KEYCLOAK = "keycloak"

NAMES = (*SOURCES, KEYCLOAK)
"""What `program` knows."""

_found: dict[str, Path] = {}


def program(name: str, say: Say | None = None) -> Path:
    """A server in exactly the pinned version: its program, or the folder of its distribution (Keycloak).

    ``say`` takes lines of progress; default: standard error. Raises BuildError.
    """
    if name not in _found:
        if name == KEYCLOAK:
            _found[name] = distribution.build(say)
        else:
            _found[name] = installed(name, say) or build.build(name, say, SOURCES[name])
    return _found[name]


def missing(name: str) -> str:
    """What this machine lacks so that it cannot have the server, or empty. Builds nothing."""
    if name == KEYCLOAK:
        return distribution.missing()
    of = SOURCES[name]
    if not of.cgo or installed(name, lambda _: None) or build.entry(name, of=of).directory.exists():
        return ""
    compilers = (os.environ.get("CC", "gcc"), "cc")
    return "" if any(map(shutil.which, compilers)) else f"{name} is partly C and there is no C compiler"


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
