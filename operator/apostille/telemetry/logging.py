"""Structured logs: one JSON object a line, references to objects as fields, never a token."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

# What a LogRecord has anyway; everything else was passed as `extra` and is logged.
_OWN = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}


class JSONFormatter(logging.Formatter):
    """Time, level, logger, message, then the record's extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _OWN}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def about(kind: str, name: str, namespace: str = "", uid: str = "") -> dict[str, dict[str, str]]:
    """The field by which a line says what object it speaks of, for ``extra``; what is not known is left out."""
    known = {"kind": kind, "namespace": namespace, "name": name, "uid": uid}
    return {"object": {key: value for key, value in known.items() if value}}


def configure(level: str = "info") -> None:
    """Sends the root logger to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
