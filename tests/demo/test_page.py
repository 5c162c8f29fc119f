"""How the story looks: narrow, nothing lost without a mark, coloured on terminals only."""

from __future__ import annotations

import io

import pytest

from apostille_demo.page import Page, cut, squeeze, wrap

TABLE = [
    "NAME       PARTY   AUDIENCE                       ENFORCED   REASON     AGE",
    "aws-prod   AWS     https://aws-prod.sts.example   Enforce    Ready      2s",
    "b          AWS     https://b.sts.example          Audit      Expired    25d",
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_long_line_ends_with_a_mark_where_it_was_cut() -> None:
    assert cut("abcdef", 6) == "abcdef"
    assert cut("abcdefg", 6) == "abcde…"


def test_a_table_that_is_too_wide_loses_blanks_and_nothing_else() -> None:
    assert squeeze(TABLE, 70) == [
        "NAME      PARTY  AUDIENCE                      ENFORCED  REASON   AGE",
        "aws-prod  AWS    https://aws-prod.sts.example  Enforce   Ready    2s",
        "b         AWS    https://b.sts.example         Audit     Expired  25d",
    ]
    assert squeeze(TABLE, 100) == TABLE
    yaml = ["key:   value", "a" * 80]
    assert squeeze(yaml, 70) == yaml


def test_prose_is_wrapped_and_long_words_stay_whole() -> None:
    arn = "arn:aws:iam::123456789012:role/a-rather-long-name"

    assert wrap(f"the role {arn} is meant", 30, "- ", "  ") == ["- the role", f"  {arn}", "  is meant"]


def test_output_is_at_most_100_columns_wide() -> None:
    message = "Error from server (Forbidden): " + "a rather long explanation of what is wrong " * 6
    out = io.StringIO()

    Page(out).output([message, "  yaml: " + "x" * 200, "short"])

    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 100
    assert " ".join(out.getvalue().split()).startswith(message.strip())
    assert lines[-2].endswith("x…")
    assert lines[-1] == "  short"


def test_a_command_is_shown_as_one_would_type_it() -> None:
    out = io.StringIO()

    Page(out).command("first \\\n    goes on\nsecond")

    assert out.getvalue() == "\n  $ first \\\n        goes on\n  $ second\n"


def test_only_terminals_get_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    plain, coloured, refused = io.StringIO(), Terminal(), Terminal()

    Page(plain).difference(["+ new"])
    Page(coloured).difference(["+ new", "  old"])
    monkeypatch.setenv("NO_COLOR", "1")
    Page(refused).difference(["+ new"])

    assert plain.getvalue() == refused.getvalue() == "  + new\n"
    assert coloured.getvalue() == "  \x1b[32m+ new\x1b[0m\n  \x1b[2m  old\x1b[0m\n"
