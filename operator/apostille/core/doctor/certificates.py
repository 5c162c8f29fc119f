"""Until when certificates hold: the one field of X.509 that is needed (RFC 5280 §4.1), without a library for it."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME = 0x30, 0xA0, 0x17


def ends(bundle: str) -> list[datetime]:
    """``notAfter`` of each certificate of a PEM bundle, in order. Raises ValueError where one is not a certificate."""
    found = []
    for text in _PEM.findall(bundle):
        try:
            found.append(_not_after(base64.b64decode("".join(text.split()), validate=True)))
        except (binascii.Error, IndexError, ValueError) as error:
            raise ValueError(f"not a certificate in PEM ({error})") from None
    if not found:
        raise ValueError("no certificate in PEM")
    return found


def _not_after(der: bytes) -> datetime:
    _, at, _ = _open(der, 0, _SEQUENCE)  # Certificate
    _, at, _ = _open(der, at, _SEQUENCE)  # TBSCertificate
    tag, _, end = _open(der, at)
    if tag == _VERSION:
        at = end
    for _ in ("serialNumber", "signature", "issuer"):
        _, _, at = _open(der, at)
    _, at, _ = _open(der, at, _SEQUENCE)  # Validity
    _, _, at = _open(der, at)  # notBefore
    tag, start, end = _open(der, at)
    text = der[start:end].decode("ascii")
    if tag != _UTC_TIME:
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    # Two digits of the year: 50 and later are of the 20th century (RFC 5280 §4.1.2.5.1).
    century = "19" if int(text[:2]) >= 50 else "20"
    return datetime.strptime(century + text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _open(der: bytes, at: int, expected: int | None = None) -> tuple[int, int, int]:
    """(tag, start, end) of the value of the element at ``at`` (X.690 §8.1)."""
    tag, length = der[at], der[at + 1]
    start = at + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(der[start : start + size], "big")
        start += size
    if (expected is not None and tag != expected) or start + length > len(der):
        raise ValueError("unexpected structure")
    return tag, start, start + length
