"""What each kind of endpoint expects and answers. Pure.

* ``aws``: container credentials (AWS SDKs and Tools Reference Guide, "Container credential provider").
* ``azure``: managed identity, both as App Service has it (header ``X-IDENTITY-HEADER``) and as Azure Arc has it
  (a challenge that names a key file; azure-identity ``_credentials/azure_arc.py``).
* ``token``: ours; ``Authorization: Bearer SECRET``, an RFC 6749 §5.1 reply.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from apostille_exchange import instants
from apostille_exchange.credential import Credential
from apostille_exchange.endpoint.request import Head

_ENCODER = json.JSONEncoder(separators=(",", ":"))

NEEDS: Mapping[str, tuple[str, ...]] = {
    "aws": ("AccessKeyId", "SecretAccessKey", "SessionToken"),
    "azure": ("token",),
    "token": ("token",),
}
"""Shape → values of a credential that it cannot do without."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``fields`` are the JSON object; ``headers`` beside the usual ones."""

    status: int
    fields: Mapping[str, object]
    headers: Mapping[str, str] | None = None

    def body(self) -> bytes:
        """What is sent."""
        return _ENCODER.encode(self.fields).encode()


def presented(shape: str, head: Head) -> list[str]:
    """The texts that may be the secret, where this shape's clients put it."""
    authorization = head.headers.get("authorization", "")
    scheme, _, value = authorization.partition(" ")
    if shape == "aws":
        return [authorization]
    if shape == "azure":
        found = [head.headers["x-identity-header"]] if "x-identity-header" in head.headers else []
        return [*found, value] if scheme.lower() == "basic" else found
    return [value] if scheme.lower() == "bearer" else []


def unauthorized(shape: str, key_file: str, head: Head) -> Answer:
    """Without the secret. Azure Arc's clients learn from it which file holds it."""
    if shape == "azure" and "authorization" not in head.headers and "x-identity-header" not in head.headers:
        challenge = {"WWW-Authenticate": f"Basic realm={key_file}"}
        return error(shape, 401, "Unauthorized", "the key is in the file", challenge)
    return error(shape, 401, "Unauthorized", "the secret is missing or wrong")


def error(shape: str, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """In the shape's own words."""
    if shape == "azure":
        return Answer(status, {"error": {"code": code, "message": message}}, headers)
    if shape == "token":
        return Answer(status, {"error": code, "error_description": message}, headers)
    return Answer(status, {"code": code, "message": message}, headers)


def answer(shape: str, head: Head, credential: Credential, parameters: Mapping[str, str], now: float) -> Answer:
    """The credential, to somebody who holds the secret."""
    values = credential.values
    if shape == "aws":
        return Answer(
            200,
            {
                "AccessKeyId": values["AccessKeyId"],
                "SecretAccessKey": values["SecretAccessKey"],
                "Token": values["SessionToken"],
                "Expiration": instants.text(credential.expires),
            },
        )
    if shape == "azure":
        return _azure(head, credential, parameters, now)
    return Answer(
        200,
        {"access_token": values["token"], "token_type": "Bearer", "expires_in": max(0, int(credential.expires - now))},
    )


def _azure(head: Head, credential: Credential, parameters: Mapping[str, str], now: float) -> Answer:
    asked = _resource(head.query)
    held = parameters.get("scope", "").removesuffix("/.default")
    if not asked or asked.rstrip("/") != held.rstrip("/"):
        # One binding, one resource: a token for another one would take an exchange, which no GET starts.
        return error("azure", 400, "InvalidResource", f"this binding is for the resource {held}")
    return Answer(
        200,
        {
            "access_token": credential.values["token"],
            "expires_on": str(int(credential.expires)),
            "expires_in": str(max(0, int(credential.expires - now))),
            "resource": asked,
            "token_type": "Bearer",
        },
    )


def _resource(query: str) -> str:
    found = [value for name, _, value in (part.partition("=") for part in query.split("&")) if name == "resource"]
    return _decoded(found[0]) if len(found) == 1 else ""


def _decoded(text: str) -> str:
    """Percent-decoding; empty for what is not well-formed."""
    first, *rest = text.replace("+", " ").encode("ascii").split(b"%")
    try:
        parts = [bytes([int(part[:2], 16)]) + part[2:] for part in rest if len(part[:2]) == 2 or _refuse()]
        return (first + b"".join(parts)).decode()
    except ValueError:
        return ""


def _refuse() -> bool:
    raise ValueError
