"""What each kind of endpoint expects and answers. Pure.

* ``aws``: container credentials (AWS SDKs and Tools Reference Guide, "Container credential provider").
* ``azure``: managed identity, both as App Service has it (header ``X-IDENTITY-HEADER``) and as Azure Arc has it
  (a challenge that names a key file; azure-identity ``_credentials/azure_arc.py``).
* ``google``: the source of an ``external_account`` (AIP-4117, "URL-sourced credentials"): the assertion, as JSON or,
  with ``?format=text``, bare; ``Authorization: Bearer SECRET``, which the credential file has its clients send.
* ``token``: ours; ``Authorization: Bearer SECRET``, an RFC 6749 §5.1 reply.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from apostille_exchange import instants
from apostille_exchange.credential import Credential
from apostille_exchange.endpoint.request import Head
from apostille_exchange.recipe import ARC_DIRECTORY

_ENCODER = json.JSONEncoder(separators=(",", ":"))

NEEDS: Mapping[str, tuple[str, ...]] = {
    "aws": ("AccessKeyId", "SecretAccessKey", "SessionToken"),
    "azure": ("token",),
    "google": ("token",),
    "token": ("token",),
}
"""Shape → values of a credential that it cannot do without."""
SUBJECT_TOKEN = "subject_token"  # noqa: S105 - a field's name


@dataclass(frozen=True, slots=True)
class Answer:
    """``fields`` are the JSON object; ``headers`` beside the usual ones; a bare ``text`` is sent instead of both."""

    status: int
    fields: Mapping[str, object]
    headers: Mapping[str, str] | None = None
    text: str = ""

    @property
    def kind(self) -> str:
        """Its Content-Type."""
        return "text/plain; charset=utf-8" if self.text else "application/json"

    def body(self) -> bytes:
        """What is sent."""
        if self.text:
            return self.text.encode()
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
        challenge = {"WWW-Authenticate": f"Basic realm={ARC_DIRECTORY}/{key_file.rpartition('/')[2]}"}
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
    if shape == "google":
        return _google(head, credential, now)
    return Answer(
        200,
        {"access_token": values["token"], "token_type": "Bearer", "expires_in": max(0, int(credential.expires - now))},
    )


def _google(head: Head, credential: Credential, now: float) -> Answer:
    token = credential.values["token"]
    if head.query == "format=text":
        return Answer(200, {}, text=token)
    return Answer(200, {SUBJECT_TOKEN: token, "expires_in": max(0, int(credential.expires - now))})


def credential_file(shape: str, document: str, url: str, secret: str) -> str:
    """A client's credential file: ``document`` with the endpoint as its source. Raises ValueError, RecursionError."""
    made = json.loads(document)
    if shape != "google" or not isinstance(made, dict):
        raise ValueError("not a document of such a client")
    made["credential_source"] = {
        "url": url,
        "headers": {"Authorization": f"Bearer {secret}"},
        "format": {"type": "json", "subject_token_field_name": SUBJECT_TOKEN},
    }
    return json.dumps(made)


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
            # Who asks for one identity by name wants to hear that it is the one.
            **({"client_id": parameters["clientID"]} if "clientID" in parameters else {}),
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
