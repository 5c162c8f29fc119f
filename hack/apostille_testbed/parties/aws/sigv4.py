"""Signature Version 4 in headers: reading and recomputing it (AWS "Create a signed AWS API request")."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from apostille_testbed.parties.serving import Request

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=(?P<key>[A-Z0-9]{16,128})/(?P<day>\d{8})/(?P<region>[a-z0-9-]+)/"
    r"(?P<service>[a-z0-9-]+)/aws4_request, *SignedHeaders=(?P<headers>[a-z0-9;_-]+), *"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
_BODY_LEFT_OUT = ("UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
_UNRESERVED = "-_.~"


class Malformed(ValueError):
    """The request carries no signature that could be checked."""


@dataclass(frozen=True)
class Signature:
    """What an Authorization header says."""

    access_key: str
    day: str
    region: str
    service: str
    headers: tuple[str, ...]
    value: str = field(repr=False)


def read(authorization: str) -> Signature:
    """Parses an Authorization header. Raises Malformed."""
    match = _AUTHORIZATION.fullmatch(authorization.strip())
    if match is None:
        raise Malformed("the Authorization header is not AWS4-HMAC-SHA256")
    return Signature(
        match["key"],
        match["day"],
        match["region"],
        match["service"],
        tuple(match["headers"].split(";")),
        match["signature"],
    )


def signed_at(request: Request) -> datetime:
    """The instant in ``X-Amz-Date``. Raises Malformed."""
    try:
        return datetime.strptime(request.headers.get("X-Amz-Date", ""), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise Malformed("X-Amz-Date is missing or not a date") from error


def unsigned_headers(request: Request, signature: Signature) -> tuple[str, ...]:
    """Headers that had to be signed and were not: Host and every ``X-Amz-*`` (AWS, step 1)."""
    required = {"host", *(name.lower() for name in request.headers if name.lower().startswith("x-amz-"))}
    return tuple(sorted(required - set(signature.headers)))


def matches(request: Request, signature: Signature, secret_key: str) -> bool:
    """Whether ``secret_key`` made this signature of this request, its body included. Raises Malformed."""
    instant = signed_at(request).strftime("%Y%m%dT%H%M%SZ")
    if signature.day != instant[:8]:
        return False
    body_hash = hashlib.sha256(request.body).hexdigest()
    if signature.service == "s3":
        stated = request.headers.get("X-Amz-Content-Sha256", "")
        # Over TLS S3 clients may leave the body out, but say so, and that word is signed.
        if stated not in (body_hash, *_BODY_LEFT_OUT):
            return False
        body_hash = stated
    canonical = "\n".join(
        (
            request.method,
            quote(unquote(request.path, "utf-8", "surrogateescape"), "/" + _UNRESERVED, "utf-8", "surrogateescape"),
            _query(request.query),
            *(f"{name}:{_header(request, name)}" for name in signature.headers),
            "",
            ";".join(signature.headers),
            body_hash,
        )
    )
    scope = f"{signature.day}/{signature.region}/{signature.service}/aws4_request"
    to_sign = "\n".join(("AWS4-HMAC-SHA256", instant, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{secret_key}".encode()
    for part in (signature.day, signature.region, signature.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(hmac.new(key, to_sign.encode(), "sha256").hexdigest(), signature.value)


def _query(raw: str) -> str:
    pairs = (pair.partition("=") for pair in raw.split("&") if pair)
    return "&".join(
        f"{name}={value}" for name, value in sorted((_encode(name), _encode(value)) for name, _, value in pairs)
    )


def _encode(text: str) -> str:
    return quote(unquote(text), _UNRESERVED)


def _header(request: Request, name: str) -> str:
    return ",".join(" ".join(value.split()) for value in request.headers.getall(name, []))
