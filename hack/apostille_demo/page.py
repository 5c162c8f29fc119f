"""How the story looks: headings, why, commands and what they print, at most 100 columns wide."""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import TextIO

WIDTH = 100
CUT = "…"
_INDENT = "  "
_HEADER = re.compile(r"[A-Z-]+( {2,}[A-Z-]+)+ *")
_BOLD, _DIM, _GREEN, _RED, _CYAN = "1", "2", "32", "31", "36"


class Page:
    """Writes to ``out``; coloured on a terminal, unless NO_COLOR is set (no-color.org)."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        terminal = self._out.isatty()
        self._coloured = terminal and not os.environ.get("NO_COLOR")
        self._width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns) if terminal else WIDTH

    def heading(self, text: str) -> None:
        """A line that begins something."""
        self._write(f"\n{self._style(text, _BOLD)}")

    def why(self, text: str) -> None:
        """What happens and why it matters, in running text."""
        self._wrapped(text, "", "")

    def progress(self, text: str) -> None:
        """What is being done, before there is something to show."""
        self._wrapped(text, _INDENT, _INDENT * 2)

    def command(self, text: str) -> None:
        """A command as one would type it; each line is one, unless the line before ends with a backslash."""
        self._write("")
        prompt = "$ "
        for line in text.splitlines():
            self._write(_INDENT + self._style(prompt + line, _CYAN))
            prompt = "  " if line.endswith("\\") else "$ "

    def output(self, lines: Iterable[str]) -> None:
        """What a command printed: tables with narrower gaps where they need it, prose wrapped, other lines cut."""
        room = WIDTH - len(_INDENT)  # also where the terminal is narrower: what is cut is lost, what wraps is not
        for line in squeeze(list(lines), room):
            if len(line) > room and _is_prose(line):
                self._wrapped(line, _INDENT, _INDENT * 2)
            else:
                self._write(_INDENT + cut(line, room))

    def whole(self, lines: Iterable[str]) -> None:
        """What a command printed, nothing cut or wrapped: for whoever looks for a fault."""
        for line in lines:
            self._write(_INDENT * 2 + line)

    def difference(self, lines: Iterable[str]) -> None:
        """Lines that begin with ``+`` or a blank; the added ones in green."""
        for line in lines:
            text = cut(line, WIDTH - len(_INDENT))
            self._write(_INDENT + (self._style(text, _GREEN) if line.startswith("+") else self._style(text, _DIM)))

    def note(self, text: str) -> None:
        """A remark on the output above it."""
        self._wrapped(text, _INDENT, _INDENT, _DIM)

    def item(self, text: str) -> None:
        """One point of a list."""
        self._wrapped(text, "- ", "  ")

    def failure(self, text: str) -> None:
        """That something went wrong."""
        self._write(self._style(text, _RED))

    def line(self, text: str = "") -> None:
        """A line as it is: something to copy."""
        self._write(text)

    def _wrapped(self, text: str, first: str, others: str, style: str = "") -> None:
        for line in wrap(text, self._width, first, others):
            self._write(self._style(line, style) if style else line)

    def _style(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._coloured and text else text

    def _write(self, text: str) -> None:
        print(text, file=self._out, flush=True)


def cut(line: str, width: int) -> str:
    """The line, or its beginning and ``…`` where it is wider."""
    return line if len(line) <= width else line[: width - len(CUT)] + CUT


def squeeze(lines: list[str], width: int) -> list[str]:
    """A table, known by its header in capitals, with gaps of two blanks where it is wider; other lines as they are."""
    if not lines or max(map(len, lines)) <= width or not _HEADER.fullmatch(lines[0]):
        return lines
    longest = max(map(len, lines))
    blank = [all(line[column : column + 1] in ("", " ") for line in lines) for column in range(longest)]
    kept = [column for column in range(longest) if not all(blank[max(0, column - 2) : column + 1]) or column < 2]
    return ["".join(line[column : column + 1] for column in kept) for line in lines]


def wrap(text: str, width: int, first: str = "", others: str = "") -> list[str]:
    """Running text in lines of at most ``width`` characters; a longer word (an ARN, a URL) stays whole."""
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=others, break_long_words=False, break_on_hyphens=False
    )


def _is_prose(line: str) -> bool:
    # Columns of a table are padded and YAML is indented; a message has single blanks.
    return "  " not in line and line.count(" ") > 8
