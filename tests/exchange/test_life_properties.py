"""A sidecar's months on a clock that the test drives: whatever the party, the kubelet, the controller and chance do."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from apostille_exchange import errors
from apostille_exchange.deliver import files
from apostille_exchange.errors import ExchangeError
from apostille_exchange.messages import Reply
from apostille_exchange.recipe import Output, Serve
from exchange.scene import READER, WRITER, Pod, ended, recipe, refusal, started, success, token
from properties import examples

DAY = 86400.0
LIVES = 40
SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
HOURS = 6
# Every write is synced, which costs nothing in memory; a pod's volume is there too.
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None


class Chance:
    """A stand-in for randomness that hypothesis chooses: every draw is somewhere between low and high."""

    def __init__(self, draws: list[float]) -> None:
        self._draws, self._at = draws, 0

    def __call__(self, low: float, high: float) -> float:
        self._at += 1
        return low + (high - low) * self._draws[self._at % len(self._draws)]


def served_pod(directory: Path, **options: bool) -> Pod:
    """One that is delivered by file and from memory."""
    run = directory / "run" / "s3-files"
    outputs = (Output(str(run / "credentials"), "aws-credentials", 0o640), Output(str(run / ".kept"), "kept", 0o600))
    return started(directory, outputs=outputs, serves=(Serve("aws", 0, str(run / "authorization")),), **options)


@pytest.mark.parametrize("seconds", [900, 3600, 43200])
@examples(2)
@given(
    draws=st.lists(st.floats(0, 1), min_size=1, max_size=20),
    steps=st.lists(st.floats(5, 60), min_size=1, max_size=20),
    rotate=st.integers(1, 40),
)
def test_there_is_never_a_gap_while_the_party_answers(
    seconds: int, draws: list[float], steps: list[float], rotate: int
) -> None:
    """Forty lives of a credential, ten hours to three weeks: at every look one is held, in file and memory."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        pod = served_pod(Path(folder), session_seconds=seconds)
        pod.files.put_plan(recipe(seconds=seconds))
        pod.clock.uniform = Chance(draws)  # type: ignore[method-assign]
        pod.tick()
        (life,) = pod.exchanger._lives.values()
        end = pod.clock.now + LIVES * seconds
        looks = 0
        while pod.clock.now < end:
            # Looks are a second apart in life; here they are as far apart as the life allows without missing anything.
            pod.tick(steps[looks % len(steps)] * seconds / 900)
            looks += 1
            if looks % rotate == 0:
                pod.files.put_token(token())
            held = life.served.credential
            assert held is not None
            assert held.expires > pod.clock.now
            stamp = files.stamp(str(pod.files.output()))
            assert stamp is not None
            assert stamp.expires == int(held.expires)
        # 0.66 of a life, ±10 %, and not twice.
        assert LIVES / 0.8 <= len(pod.forms) <= LIVES / 0.59 + 2
        assert set(pod.log.reasons()) == {"Exchanged"}


class Months(RuleBasedStateMachine):
    """Anything may happen in any order; exchanges begin and end when they like."""

    @initialize(draws=st.lists(st.floats(0, 1), min_size=1, max_size=8))
    def begin(self, draws: list[float]) -> None:
        self.folder = tempfile.TemporaryDirectory(dir=MEMORY)
        self.pod = served_pod(Path(self.folder.name), slow=True)
        self.pod.clock.uniform = Chance(draws)  # type: ignore[method-assign]
        self.secrets = set(self.pod.files.token().read_text().split("."))
        self.given: dict[str, float] = {}
        self.party: Callable[[Mapping[str, str]], Reply] = self.good

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def good(self, form: Mapping[str, str]) -> Reply:
        expires = float(int(self.pod.clock.now) + int(form["DurationSeconds"]))
        reply = success(form, expires)
        key = reply.body.partition(b"<AccessKeyId>")[2].partition(b"<")[0].decode()
        self.given[key] = expires
        return reply

    @rule(minutes=st.floats(0, 30))
    def time_passes(self, minutes: float) -> None:
        self.pod.clock.advance(minutes * 60)
        self.look()

    @rule(days=st.floats(1, 30))
    def days_pass(self, days: float) -> None:
        self.pod.clock.advance(days * DAY)
        self.look()

    @rule(seconds=st.integers(2, 90))
    def looks_follow_each_other(self, seconds: int) -> None:
        for _ in range(seconds):
            self.pod.clock.advance(1)
            self.look()

    @rule(step=st.sampled_from([-86400.0, -600.0, -30.0, 30.0, 600.0, 86400.0]))
    def the_wall_clock_steps(self, step: float) -> None:
        self.pod.clock.now += step
        self.look()

    def look(self) -> None:
        self.pod.exchanger.tick()
        assert len(self.pod._waiting) <= 1, "never two exchanges at once for one binding"

    @precondition(lambda self: self.pod._waiting)
    @rule()
    def the_exchange_ends(self) -> None:
        self.pod.answers.clear()
        self.pod.answers.append(self.party)
        self.pod.finish()
        self.pod.answers.clear()

    @rule()
    def the_party_is_well(self) -> None:
        self.party = self.good

    @rule(
        answer=st.sampled_from(
            [
                ExchangeError(errors.UNREACHABLE, "sts: refused"),
                ExchangeError(errors.TLS_FAILED, "sts: expired"),
                refusal("AccessDenied", status=403),
                refusal("Throttling", status=429, retry_after="120"),
                refusal("InternalFailure", status=500),
                Reply(200, {"content-type": "text/html"}, b"<html>"),
            ]
        )
    )
    def the_party_is_ill(self, answer: Reply | ExchangeError) -> None:
        def told(form: Mapping[str, str]) -> Reply:
            if isinstance(answer, ExchangeError):
                raise answer
            return answer

        self.party = told

    @rule(life=st.sampled_from([-10, 0, 1, 5, 30, 100_000]))
    def the_party_grants_odd_lives(self, life: int) -> None:
        self.party = lambda form: success(form, self.pod.clock.now + life)

    @rule(text=st.sampled_from(["", "a.b", "whole"]))
    def the_kubelet_writes(self, text: str) -> None:
        made = token() if text == "whole" else text
        self.secrets |= {part for part in made.split(".") if len(part) > 8}
        self.pod.files.put_token(made)

    @rule(role=st.sampled_from([READER, WRITER]), seconds=st.sampled_from([900, 3600, 9999]))
    def the_target_changes(self, role: str, seconds: int) -> None:
        self.pod.files.put_plan(recipe(role=role, seconds=seconds))

    @rule()
    def the_binding_ends(self) -> None:
        self.pod.files.put_plan(ended())
        self.look()

    @rule(text=st.sampled_from(["", "{", '{"format":2}']))
    def the_plan_is_unreadable(self, text: str) -> None:
        self.pod.files.put_plan_text(text)
        self.look()

    @rule()
    def the_sidecar_is_restarted(self) -> None:
        # What was under way died with its process.
        self.pod._waiting.clear()
        self.pod.restart()
        self.look()

    @invariant()
    def nothing_false_is_delivered(self) -> None:
        if not hasattr(self, "pod"):
            return
        (life,) = self.pod.exchanger._lives.values()
        held, text = life.served.credential, self.pod.content()
        if held is not None:
            assert held.values["AccessKeyId"] in text, "file and memory hold the same"
        if text:
            assert text.count("aws_secret_access_key = ") == 1
            assert text.endswith("\n")

    @invariant()
    def an_ended_binding_holds_nothing(self) -> None:
        if hasattr(self, "pod") and self.pod.exchanger.standings()[0].state == "ended":
            assert self.pod.content() == ""
            (life,) = self.pod.exchanger._lives.values()
            assert life.served.credential is None

    @invariant()
    def nothing_secret_is_told(self) -> None:
        if hasattr(self, "pod"):
            told = str(self.pod.log.lines[-3:])
            assert not any(secret in told for secret in self.secrets)
            assert "secret/" not in told
            assert "session+" not in told

    @invariant()
    def nothing_unexpected_happens(self) -> None:
        if hasattr(self, "pod"):
            assert all(line.get("reason") != "Unknown" for line in self.pod.log.lines[-3:])


TestMonths = pytest.mark.property(Months.TestCase)
TestMonths.settings = settings(max_examples=2500 if SOAK else 50, stateful_step_count=40, deadline=None)


@examples(6)
@given(
    draws=st.lists(st.floats(0, 1), min_size=1, max_size=20),
    answer=st.sampled_from(["unreachable", "denied", "rest"]),
    held=st.booleans(),
)
def test_a_party_that_is_away_is_not_asked_without_pause(draws: list[float], answer: str, held: bool) -> None:
    """However chance falls, an average of one try a second is never kept up; a refusal is asked about more rarely."""
    answers = {
        "unreachable": ExchangeError(errors.UNREACHABLE, "x"),
        "denied": refusal("AccessDenied", status=403),
        "rest": refusal("SlowDown", status=503, retry_after="30"),
    }
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        pod = served_pod(Path(folder))
        if held:
            pod.tick()
        # Full jitter draws zero as often as anything: what must hold is the mean, so the draws have theirs.
        pod.clock.uniform = Chance([*draws, *(1 - draw for draw in draws)])  # type: ignore[method-assign]
        pod.answers.extend([answers[answer]] * 100_000)
        asked = pod.run(HOURS * 3600, 1)
        assert asked <= 10 + HOURS * 3600 / (15 if answer != "denied" else 60)
        pod.answers.clear()
        pod.run(700)
        assert pod.exchanger.standings()[0].state == "fresh"
