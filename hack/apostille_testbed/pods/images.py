"""Image references without images: what a container gets that the pod's spec does not say."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
EXCHANGE = "apostille-exchange:*"
"""The references that `standard_images` takes for the exchange sidecar's image."""

_PROGRAMS = Path(__file__).with_name("programs")
_NOBODY = 65532  # as distroless images number it


@dataclass(frozen=True)
class Image:
    """An image's configuration over the host's file system (OCI image-spec, config.md: Entrypoint, Cmd, Env, User).

    `path_prepend` goes before the locked environment's programs (python, kubectl) on PATH. A pod's `command`
    replaces `entrypoint` and drops `cmd`; its `args` replace `cmd`.
    """

    entrypoint: Sequence[str] = ()
    cmd: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    path_prepend: Sequence[str] = ()
    user: int = 0
    working_dir: str = "/"

    def environment(self) -> dict[str, str]:
        """PATH, HOME and what the image sets; nothing of the runner's own environment."""
        path = ":".join([*self.path_prepend, str(Path(sys.executable).parent), SYSTEM_PATH])
        return {"PATH": path, "HOME": "/tmp", "LANG": "C.UTF-8", **self.env}


def exchange_image(ca: Path | None = None) -> Image:
    """The exchange sidecar's image: `apostille-exchange`, on Python's standard library alone.

    `ca`: the authorities that its system trusts, as PEM; None: the machine's.
    """
    return Image(entrypoint=("apostille-exchange",), env=_trust(ca), path_prepend=(str(_PROGRAMS),), user=_NOBODY)


def sdk_image(ca: Path | None = None) -> Image:
    """An application's image: Python with unmodified boto3. `ca` as in `exchange_image`."""
    # boto3 brings authorities of its own and takes others only from its variable.
    return Image(cmd=("python",), env={**_trust(ca), **({"AWS_CA_BUNDLE": str(ca)} if ca else {})})


def standard_images(ca: Path | None = None) -> Mapping[str, Image]:
    """The exchange sidecar under its name, everything else an application's image."""
    return MappingProxyType({EXCHANGE: exchange_image(ca), "*": sdk_image(ca)})


def _trust(ca: Path | None) -> dict[str, str]:
    return {"SSL_CERT_FILE": str(ca)} if ca else {}


DEFAULT_IMAGES: Mapping[str, Image] = MappingProxyType({"*": Image()})


def find(images: Mapping[str, Image], reference: str) -> Image | None:
    """The image for a reference: the exact name, else the longest matching fnmatch pattern, else None."""
    if reference in images:
        return images[reference]
    matching = [pattern for pattern in images if fnmatch.fnmatchcase(reference, pattern)]
    return images[max(matching, key=len)] if matching else None
