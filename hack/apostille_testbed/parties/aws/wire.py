"""How STS and S3 spell their answers (cloud-trust §3.3; Amazon S3 "Error responses")."""

from __future__ import annotations

import json
import re
import secrets
import uuid
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from apostille_testbed.parties.aws.errors import Refused
from apostille_testbed.parties.serving import Reply, Request

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_STS = "https://sts.amazonaws.com/doc/2011-06-15/"


def instant(seconds: float) -> str:
    """Seconds since the epoch as AWS writes an instant in XML."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def sts_reply(request: Request, action: str, result: dict[str, Any]) -> Reply:
    """A successful STS reply as XML, or as JSON for clients that ask for it; ``result`` nests by member name."""
    request_id = str(uuid.uuid4())
    members = {f"{action}Result": result, "ResponseMetadata": {"RequestId": request_id}}
    if _wants_json(request):
        return _json(200, {f"{action}Response": members}, request_id)
    return _xml(200, f'<{action}Response xmlns="{_STS}">{_elements(members)}</{action}Response>', request_id)


def sts_error(request: Request, refused: Refused) -> Reply:
    """An STS error as XML, or as JSON for clients that ask for it."""
    request_id = str(uuid.uuid4())
    error = {
        "Type": "Sender" if refused.status < 500 else "Receiver",
        "Code": refused.code,
        "Message": refused.message,
    }
    if _wants_json(request):
        return _json(refused.status, {"Error": error, "RequestId": request_id}, request_id)
    body = _elements({"Error": error, "RequestId": request_id})
    return _xml(refused.status, f'<ErrorResponse xmlns="{_STS}">{body}</ErrorResponse>', request_id)


def s3_error(refused: Refused) -> Reply:
    """An S3 error; always XML."""
    request_id = secrets.token_hex(8).upper()
    error = {
        "Code": refused.code,
        "Message": refused.message,
        "RequestId": request_id,
        "HostId": secrets.token_urlsafe(32),
    }
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{_elements(error)}</Error>'
    headers = {"Content-Type": "application/xml", "x-amz-request-id": request_id}
    return Reply(refused.status, body.encode(), headers)


def _wants_json(request: Request) -> bool:
    return request.headers.get("Accept", "").split(";")[0].strip() == "application/json"


def _elements(members: dict[str, Any]) -> str:
    return "".join(
        f"<{name}>{_elements(value) if isinstance(value, dict) else escape(_text(name, value))}</{name}>"
        for name, value in members.items()
    )


def _text(name: str, value: Any) -> str:
    # JSON replies of STS carry epoch seconds where XML ones carry a text.
    # Texts from tokens may hold what XML 1.0 §2.2 cannot carry.
    return instant(value) if name == "Expiration" else _NOT_XML.sub("\ufffd", str(value))


def _xml(status: int, body: str, request_id: str) -> Reply:
    return Reply(status, body.encode(), {"Content-Type": "text/xml", "x-amzn-RequestId": request_id})


def _json(status: int, members: dict[str, Any], request_id: str) -> Reply:
    headers = {"Content-Type": "application/json", "x-amzn-RequestId": request_id}
    return Reply(status, json.dumps(members).encode(), headers)
