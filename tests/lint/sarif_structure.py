"""What SARIF 2.1.0 asks of the members that are written here (OASIS, §3.13 to §3.58), as a JSON schema.

Closed: a member that is not listed is a mistake. Enumerations and required members are the standard's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def _object(required: Sequence[str], **members: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": members, "additionalProperties": False}


def _list(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


_TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
_LINE: dict[str, Any] = {"type": "integer", "minimum": 1}
_URI = {"type": "string", "pattern": r"^[A-Za-z0-9%._~/-]+$"}
_LEVEL = {"enum": ["none", "note", "warning", "error"]}
_MESSAGE = _object(["text"], text=_TEXT)
_LOCATION = _object(
    [],
    physicalLocation=_object(
        ["artifactLocation"],
        artifactLocation=_object([], uri=_URI),
        region=_object([], startLine=_LINE, startColumn=_LINE, endColumn=_LINE),
    ),
    logicalLocations=_list(_object([], fullyQualifiedName=_TEXT, kind=_TEXT)),
)
_RULE = _object(
    ["id"],
    id=_TEXT,
    name=_TEXT,
    shortDescription=_MESSAGE,
    fullDescription=_MESSAGE,
    help=_MESSAGE,
    helpUri={"type": "string", "pattern": "^https://"},
    defaultConfiguration=_object([], level=_LEVEL),
)
_RESULT = _object(
    ["message"],
    ruleId=_TEXT,
    ruleIndex={"type": "integer", "minimum": 0},
    level=_LEVEL,
    message=_MESSAGE,
    locations=_list(_LOCATION),
    partialFingerprints={"type": "object", "additionalProperties": _TEXT},
    suppressions=_list(
        _object(
            ["kind"],
            kind={"enum": ["inSource", "external"]},
            status={"enum": ["accepted", "underReview", "rejected"]},
            justification=_TEXT,
        )
    ),
)
_RUN = _object(
    ["tool"],
    tool=_object(
        ["driver"],
        driver=_object(["name"], name=_TEXT, version=_TEXT, informationUri=_TEXT, rules=_list(_RULE)),
    ),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    invocations=_list(
        _object(
            ["executionSuccessful"],
            executionSuccessful={"type": "boolean"},
            toolExecutionNotifications=_list(
                _object(["message"], level=_LEVEL, message=_MESSAGE, locations=_list(_LOCATION))
            ),
        )
    ),
    results=_list(_RESULT),
)
LOG = _object(
    ["version", "runs"],
    **{"$schema": {"type": "string"}},
    version={"enum": ["2.1.0"]},
    runs=_list(_RUN),
)
