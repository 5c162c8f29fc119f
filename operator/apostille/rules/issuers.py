"""Which issuer URLs a relying party on the internet can use: byte for byte, over https, under a public name."""

from __future__ import annotations

import re

_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
# Names that no public DNS server answers, and addresses, for which nobody has a public certificate.
_PRIVATE = re.compile(r"(.*\.)?(svc|local|localhost|localdomain|internal|lan|home|corp)|[0-9.]+|[^.]+")


def host(url: str) -> str:
    """The host of an https URL, a port included; empty for any other URL."""
    return url.removeprefix("https://").split("/", 1)[0] if url.startswith("https://") else ""


def is_plain(url: str) -> bool:
    """Whether it is https with a lower-case host name and no user, query or fragment; a port is taken."""
    name, _, port = host(url).partition(":")
    return bool(_HOST.fullmatch(name)) and (not port or port.isdecimal()) and not any(c in url for c in "?#")


def is_private(url: str) -> bool:
    """Whether nobody outside of the cluster's network can know its host."""
    return _PRIVATE.fullmatch(host(url).partition(":")[0]) is not None


def unusable(url: str) -> str:
    """Why a party that reads discovery document and keys from the internet cannot use this issuer; empty: it can."""
    if not is_plain(url):
        return "no https URL with a lower-case host name and without user, query and fragment"
    return "no public host" if is_private(url) else ""
