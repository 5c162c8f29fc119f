"""The fault matrix: every answer in every phase of a credential's life. The table in docs/faults.md is written here.

``APOSTILLE_UPDATE_GOLDEN=1`` writes it anew for review.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from apostille_exchange import transport
from apostille_exchange.recipe import Output, Serve
from exchange.bad_parties import FAULTS, Answers, Fault, given
from exchange.scene import Pod, started, token

pytestmark = pytest.mark.xdist_group("faults")

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
MARK = "| answer | phase |"
LIFE = 3600
MINUTES = 10  # that the fault lasts
PHASES = {"first": 0, "refresh": int(LIFE * 0.66), "last minute": LIFE - 60}


@dataclass(frozen=True)
class Row:
    """What the sidecar did."""

    fault: str
    phase: str
    reason: str
    asked: int
    held: str
    state: str
    healed: float

    def __str__(self) -> str:
        return (
            f"| {self.fault} | {self.phase} | `{self.reason}` | {self.asked} | {self.held} | `{self.state}` "
            f"| {self.healed:g} s |"
        )


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transport, "TIMEOUT", 1.0)
        yield Answers(tmp_path_factory.mktemp("parties"))


class Matrix:
    """Every row is found out once, by whoever asks for it first."""

    def __init__(self, answers: Answers, directory: Path) -> None:
        self._answers, self._directory = answers, directory
        self._rows: dict[tuple[str, str], Row] = {}

    def row(self, fault: Fault, phase: str) -> Row:
        key = (fault.name, phase)
        if key not in self._rows:
            self._rows[key] = examine(self._answers, self._directory / str(len(self._rows)), fault, phase)
        return self._rows[key]


@pytest.fixture(scope="module")
def matrix(answers: Answers, tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    return Matrix(answers, tmp_path_factory.mktemp("pods"))


def pod_in(directory: Path, phase: str) -> Pod:
    """A pod at the beginning of a phase, served by file and from memory."""
    kept = Output(str(directory / "run" / "s3-files" / ".kept"), "kept", 0o600)
    usual = Output(str(directory / "run" / "s3-files" / "credentials"), "aws-credentials", 0o640)
    serve = Serve("aws", 0, str(directory / "run" / "s3-files" / "authorization"))
    pod = started(directory, outputs=(usual, kept), serves=(serve,))
    if PHASES[phase]:
        pod.tick()
        # For the last minute the party has been away since the refresh was due: there would be none otherwise.
        pod.clock.advance(PHASES[phase] - 1)
        pod.forms.clear()
        pod.log.lines.clear()
    return pod


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_what_the_sidecar_does(matrix: Matrix, fault: Fault, phase: str) -> None:
    row = matrix.row(fault, phase)
    assert row.held == {"first": "nothing yet", "refresh": "all the time", "last minute": "until its end"}[phase]


def examine(answers: Answers, directory: Path, fault: Fault, phase: str) -> Row:
    """Raises AssertionError where something is lost, told, or asked without pause."""
    pod = pod_in(directory, phase)
    (life,) = pod.exchanger._lives.values()
    assertion = pod.files.token().read_text()
    before, served = pod.content(), life.served.credential
    answer = given(answers, fault)
    pod.answers.extend([answer] * 1000)

    moments: list[float] = []
    ended = False
    for _ in range(MINUTES * 60):
        moments += [pod.clock.moment] * pod.tick(1)
        # Nothing is lost: while it lives, what was held is held, in its file and in memory.
        assert pod.content() == before
        if served is not None:
            ended = ended or served.expires <= pod.clock.now
            assert life.served.credential is served
    state = pod.exchanger.standings()[0].state
    failed = [line for line in pod.log.lines if line["message"] == "exchange failed"]
    assert len(failed) == len(moments) > 0

    # No busy loop: full jitter is held at its middle here, so the tries spread as its mean does.
    assert len(moments) <= 40
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert all(gap >= 1 for gap in gaps)
    if fault.name.startswith("429"):
        assert all(gap >= 90 for gap in gaps)

    # No token in any output, echoed ones included.
    told = str(pod.log.lines)
    assert not any(part in told for part in assertion.split("."))
    assert all(value not in told for value in (served.values.values() if served else ()))

    # It heals by itself.
    pod.answers.clear()
    began = pod.clock.moment
    while pod.content() == before:
        pod.tick(1)
        assert pod.clock.moment - began < 400, "it asks again before long"
    assert pod.exchanger.standings()[0].state == "fresh"

    held = "nothing yet" if not before else "until its end" if ended else "all the time"
    return Row(fault.name, phase, str(failed[0]["reason"]), len(moments), held, state, pod.clock.moment - began)


def test_the_page_states_it(matrix: Matrix) -> None:
    table = "\n".join(str(matrix.row(fault, phase)) for fault in FAULTS for phase in PHASES)
    text = PAGE.read_text()
    head, mark, rest = text.partition(MARK)
    lines = (mark + rest).split("\n")
    if os.environ.get("APOSTILLE_UPDATE_GOLDEN"):
        PAGE.write_text(head + "\n".join(lines[:2]) + "\n" + table + "\n")
    assert PAGE.read_text() == head + "\n".join(lines[:2]) + "\n" + table + "\n"


@pytest.mark.parametrize("content", ["gone", "empty", "truncated", "another receiver's"])
@pytest.mark.parametrize("phase", PHASES)
def test_a_token_that_is_not_there_loses_nothing(tmp_path: Path, phase: str, content: str) -> None:
    pod = pod_in(tmp_path, phase)
    before = pod.content()
    whole = pod.files.token().read_text()
    texts = {"empty": "", "truncated": whole[: len(whole) // 2], "another receiver's": token("https://other.example")}
    if content == "gone":
        pod.files.token().parent.rename(tmp_path / "aside")
    else:
        pod.files.put_token(texts[content])
    for _ in range(50):
        assert pod.tick(1) == 0
        assert pod.content() == before
    if content == "gone":
        (tmp_path / "aside").rename(pod.files.token().parent)
    pod.files.put_token(token())
    assert pod.tick(1) == 1, "the next token is taken up at once"
    assert pod.content() not in ("", before)
