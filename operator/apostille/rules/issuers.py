"""Which issuer URLs a relying party on the internet can use: byte for byte, over https, under a public name."""

from __future__ import annotations

import re

_HOST = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
# Names that no public DNS server answers, and addresses, for which nobody has a public certificate.
_PRIVATE = re.compile(r"(.*\.)?(svc|local|localhost|internal)|[0-9.]+")


def unusable(url: str) -> str:
    """Why a party that reads discovery document and keys from the internet cannot use this issuer; empty: it can."""
    scheme, _, rest = url.partition("://")
    authority = rest.split("/", 1)[0]
    host, _, port = authority.partition(":")
    if scheme != "https" or any(c in url for c in "?#@") or (port and not port.isdecimal()):
        return "no https URL without user, query and fragment"
    if not _HOST.fullmatch(host):
        return "not a host name in lower case"
    if _PRIVATE.fullmatch(host) or "." not in host:
        return "no public host"
    return ""
