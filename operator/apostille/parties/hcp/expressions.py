"""Conditional-access statements: hashicorp/go-bexpr v0.1.17 (grammar/grammar.peg), read into what they say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Operator = Literal["==", "in", "matches", "empty"]


@dataclass(frozen=True, slots=True)
class Match:
    """One comparison; ``negated`` for ``!=`` and the forms with ``not``."""

    path: tuple[str, ...]
    operator: Operator
    value: str = ""
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """``not x``."""

    operand: Expression


@dataclass(frozen=True, slots=True)
class Both:
    """``x and y``; y is looked at only where x holds."""

    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Either:
    """``x or y``; y is looked at only where x does not hold."""

    left: Expression
    right: Expression


Expression = Match | Not | Both | Either

_SPACE = " \t\r\n"
_IDENTIFIER = re.compile(r"[a-zA-Z][a-zA-Z0-9_/]*")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?(?=[ \t\r\n)]|$)")
_POINTER = re.compile(r'"(/[\w\-.~:|]+)+"')
_DOUBLE = re.compile(r'"[^"]*"')
_RAW = re.compile(r"`[^`]*`")
# What Go's strconv.Unquote takes as it is; escapes are few and never needed for a subject.
_PLAIN = re.compile(r'"[^"\\\n]*"')
_DEEP = 64


def parse(statement: str) -> Expression:
    """Raises ValueError for what the library refuses, and for what is not judged here (``any``, ``all``, escapes)."""
    return _Parser(statement).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def whole(self) -> Expression:
        self._blank()
        found = self._or()
        self._blank()
        if self._at < len(self._text):
            raise self._error()
        return found

    def _or(self) -> Expression:
        self._depth += 1
        if self._depth > _DEEP:
            raise ValueError("the statement is nested too deeply")
        left = self._and()
        found = Either(left, self._or()) if self._word("or") else left
        self._depth -= 1
        return found

    def _and(self) -> Expression:
        left = self._not()
        return Both(left, self._and()) if self._word("and") else left

    def _not(self) -> Expression:
        if re.compile(r"not[ \t\r\n]").match(self._text, self._at):
            self._at += 3
            self._blank()
            inner = self._not()
            # The library drops a pair of them.
            return inner.operand if isinstance(inner, Not) else Not(inner)
        if self._text.startswith("(", self._at):
            self._at += 1
            self._blank()
            found = self._or()
            self._blank()
            if not self._text.startswith(")", self._at):
                raise self._error()
            self._at += 1
            return found
        return self._match()

    def _match(self) -> Expression:
        start = self._at
        path = self._selector()
        if path is not None:
            for symbol in ("==", "!="):
                if re.compile(rf"[ \t\r\n]*{symbol}").match(self._text, self._at):
                    self._blank()
                    self._at += 2
                    self._blank()
                    return Match(path, "==", self._value(), symbol == "!=")
            for words, operator, negated in (
                ("is not empty", "empty", True),
                ("is empty", "empty", False),
            ):
                if self._word(*words.split(), last=True):
                    return Match(path, operator, negated=negated)  # type: ignore[arg-type]
            for words, operator, negated in (
                ("not contains", "in", True),
                ("contains", "in", False),
                ("not matches", "matches", True),
                ("matches", "matches", False),
            ):
                if self._word(*words.split()):
                    return Match(path, operator, self._value(), negated)  # type: ignore[arg-type]
        self._at = start
        value = self._value()
        for words, negated in (("not in", True), ("in", False)):
            if self._word(*words.split()):
                path = self._selector()
                if path is None:
                    raise self._error()
                return Match(path, "in", value, negated)
        raise self._error()

    def _selector(self) -> tuple[str, ...] | None:
        if (pointer := _POINTER.match(self._text, self._at)) is not None:
            self._at = pointer.end()
            parts = pointer[0][2:-1].split("/")
            return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)
        if (first := _IDENTIFIER.match(self._text, self._at)) is None:
            return None
        self._at = first.end()
        path = [first[0]]
        while True:
            rest = re.compile(r"\.(?P<name>[a-zA-Z][a-zA-Z0-9_/]*|[0-9]+)").match(self._text, self._at)
            if rest is not None:
                path.append(rest["name"])
                self._at = rest.end()
            elif self._text.startswith("[", self._at):
                self._at += 1
                self._blank()
                path.append(self._string())
                self._blank()
                if not self._text.startswith("]", self._at):
                    raise self._error()
                self._at += 1
            else:
                return tuple(path)

    def _value(self) -> str:
        # An identifier without quotes is a text as well, written with its dots.
        start = self._at
        if (path := self._selector()) is not None:
            return "/" + "/".join(path) if self._text.startswith('"', start) else ".".join(path)
        if (number := _NUMBER.match(self._text, self._at)) is not None:
            self._at = number.end()
            return number[0]
        return self._string()

    def _string(self) -> str:
        if (raw := _RAW.match(self._text, self._at)) is not None:
            self._at = raw.end()
            return raw[0][1:-1].replace("\r", "")
        if (double := _DOUBLE.match(self._text, self._at)) is None:
            raise self._error()
        if _PLAIN.fullmatch(double[0]) is None:
            raise ValueError(f"text with an escape at character {self._at + 1}, which is not judged")
        self._at = double.end()
        return double[0][1:-1]

    def _word(self, *words: str, last: bool = False) -> bool:
        """Takes words with white space before, between and, unless they are the ``last``, behind them."""
        after = "" if last else r"[ \t\r\n]+"
        pattern = "".join(rf"[ \t\r\n]+{word}" for word in words) + after
        found = re.compile(pattern).match(self._text, self._at)
        if found is None:
            return False
        self._at = found.end()
        return True

    def _blank(self) -> None:
        while self._at < len(self._text) and self._text[self._at] in _SPACE:
            self._at += 1

    def _error(self) -> ValueError:
        return ValueError(f"not a statement, from character {self._at + 1} on")
