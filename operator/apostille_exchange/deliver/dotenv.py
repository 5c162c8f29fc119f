"""Lines ``NAME='value'``, for a shell's ``.`` and for what reads ``.env`` files."""

from __future__ import annotations

from collections.abc import Mapping

from apostille_exchange.credential import Credential
from apostille_exchange.deliver.stamp import Stamp

_VARIABLES: Mapping[str, str] = {
    "AccessKeyId": "AWS_ACCESS_KEY_ID",
    "SecretAccessKey": "AWS_SECRET_ACCESS_KEY",
    "SessionToken": "AWS_SESSION_TOKEN",
}


def render(credential: Credential, stamp: Stamp, variable: str = "TOKEN") -> str:
    """``variable`` is what a token is called."""
    named = {**_VARIABLES, "token": variable or "TOKEN"}
    # Values are printable and without spaces (every grant checks), so a quote is all that must be cared for.
    lines = [f"{named[name]}={_quoted(value)}" for name, value in credential.values.items() if name in named]
    return f"# Written by Apostille, replaced before it ends.\n# {stamp}\n" + "".join(f"{line}\n" for line in lines)


def _quoted(value: str) -> str:
    escaped = value.replace("'", "'\\''")
    return f"'{escaped}'"
