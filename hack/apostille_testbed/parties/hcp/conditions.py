"""Conditional-access statements, evaluated by HashiCorp's own go-bexpr (``go/bexpr``)."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping
from typing import Any

from apostille_testbed.parties.programs import program


class Conditions:
    """One evaluator process, started on first use; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def holds(self, statement: str, claims: Mapping[str, Any]) -> bool:
        """Raises ValueError with the library's words for a statement that cannot be parsed or evaluated."""
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(
                    [program("bexpr")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            self._process.stdin.write(json.dumps({"expression": statement, "claims": claims}) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise ValueError(answer["error"])
        return bool(answer["holds"])

    def close(self) -> None:
        """Ends the process."""
        with self._lock:
            if self._process is not None:
                self._process.communicate()
                self._process = None
