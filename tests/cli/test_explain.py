"""`explain`: the whole answer for each kind of pod, in files; and what holds for all answers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from apostille.cli.documents import text
from apostille.cli.explain import document, lines
from apostille.core.explain.answer import GOOD, State
from apostille.core.explain.explain import explain
from builders import NOW
from cli.explain_cases import CASES

GOLDEN = Path(__file__).parent / "golden" / "explain"
UPDATE = os.environ.get("APOSTILLE_UPDATE_GOLDEN") == "1"
STATES = {
    "not-bound": State.NOT_BOUND,
    "allowed": State.ALLOWED,
    "bound-before": State.OLDER,
    "bound-after": State.DELIVERED,
    "stale": State.STALE,
    "skipped-container": State.SKIPPED,
    "suspended": State.SUSPENDED,
    "expired": State.EXPIRED,
    "trust-missing": State.TRUST_NOT_FOUND,
    "wrong-service-account": State.WRONG_ACCOUNT,
    "wrong-aws-account": State.REFUSED,
    "party-unreachable": State.UNREACHABLE,
}


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    found = "\n".join(lines(explain(CASES[name], NOW))) + "\n"
    path = GOLDEN / f"{name}.txt"
    if UPDATE:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found)
    assert found == path.read_text(), "update with APOSTILLE_UPDATE_GOLDEN=1"


def test_there_is_no_golden_file_without_its_case() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)


@pytest.mark.parametrize(("name", "state"), STATES.items())
def test_each_state_is_told_by_its_name(name: str, state: State) -> None:
    (answer,) = explain(CASES[name], NOW).answers
    assert answer.state is state


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_good_has_one_line_to_change(name: str) -> None:
    for answer in explain(CASES[name], NOW).answers:
        assert "\n" not in answer.change
        if answer.state not in (*GOOD, State.NOT_INJECTABLE):
            assert answer.change
        if answer.state is State.DELIVERED:
            assert not answer.change


@pytest.mark.parametrize("name", ["bound-after", "expired", "trusts-forbidden-works"])
def test_json_and_yaml_say_the_same(name: str) -> None:
    made = document(explain(CASES[name], NOW))
    assert json.loads(text(made, "json")) == yaml.safe_load(text(made, "yaml")) == made
    assert made["good"] is (name != "expired")
