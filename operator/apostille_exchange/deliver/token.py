"""A token and nothing else, as Vault's agent writes a sink (no newline: clients send what they read)."""

from __future__ import annotations

from collections.abc import Mapping

from apostille_exchange.credential import Credential
from apostille_exchange.deliver.stamp import Stamp

# There is no place for a stamp in it.
STAMP_BESIDE = True


def render(credential: Credential, stamp: Stamp) -> str:
    """The token."""
    return credential.values["token"]


def read(content: str) -> Mapping[str, str] | None:
    """What a restarted process needs to renew and revoke it; None where that is no token that goes into a header."""
    whole = content.isascii() and content.isprintable() and " " not in content
    return {"token": content} if content and whole else None
