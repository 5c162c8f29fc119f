"""Signatures of RPC requests, version 1.0 (the vendor's "Request syntax and signature method V2 for RPC APIs")."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote


def signature(method: str, parameters: Mapping[str, str], secret: str) -> str:
    """Of a request's parameters, its own signature left aside, by a session's AccessKeySecret."""
    pairs = sorted((name, value) for name, value in parameters.items() if name != "Signature")
    query = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in pairs)
    text = f"{method}&{_encoded('/')}&{_encoded(query)}"
    return base64.b64encode(hmac.digest(f"{secret}&".encode(), text.encode(), hashlib.sha1)).decode()


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")
