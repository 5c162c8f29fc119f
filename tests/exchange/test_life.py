"""The life of a credential under a clock that stands still: first exchange, renewal, failure, end, restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from apostille_exchange import errors
from apostille_exchange.deliver import files
from apostille_exchange.errors import ExchangeError
from apostille_exchange.recipe import Output
from exchange.scene import READER, WRITER, Pod, ended, recipe, refusal, started, success, token

UNREACHABLE = ExchangeError(errors.UNREACHABLE, "sts: refused")


def test_the_first_look_exchanges_and_delivers(tmp_path: Path) -> None:
    pod = started(tmp_path)
    assert pod.tick() == 1
    form = pod.forms[0]
    assert form | {"WebIdentityToken": "…"} == {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": READER,
        "RoleSessionName": "payments.s3-files",
        "DurationSeconds": "3600",
        "WebIdentityToken": "…",
    }
    assert form["WebIdentityToken"] == pod.files.token().read_text()
    assert "aws_secret_access_key = secret/" in pod.content()
    assert pod.files.output().stat().st_mode & 0o777 == 0o640
    assert pod.tick(1) == 0


@pytest.mark.parametrize(("chance", "share"), [(0.0, 0.594), (0.5, 0.66), (1.0, 0.726)])
def test_it_is_renewed_at_two_thirds_of_its_life_give_or_take(tmp_path: Path, chance: float, share: float) -> None:
    pod = started(tmp_path)
    pod.clock.chance = chance
    pod.tick()
    before = pod.content()
    assert pod.tick(3600 * share - 2) == 0
    assert pod.tick(3) == 1
    assert pod.content() != before


def test_a_wall_clock_that_steps_back_does_not_delay_a_renewal(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.tick()
    pod.clock.now -= 7200
    assert pod.tick(3600 * 0.67) == 1


def test_a_wall_clock_that_steps_forward_renews_at_once(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.tick()
    pod.clock.now += 3000
    assert pod.tick() == 1


def test_a_credential_of_seconds_is_not_renewed_without_pause(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.answers.append(lambda form: success(form, pod.clock.now + 3))
    pod.tick()
    assert pod.tick(2) == 0


def test_each_exchange_reads_the_token_anew(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.tick()
    pod.files.put_token(fresh := token())
    assert pod.tick(1) == 0
    pod.tick(3000)
    assert pod.forms[-1]["WebIdentityToken"] == fresh


def test_failures_keep_the_last_good_credential_until_a_renewal_succeeds(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.tick()
    before = pod.content()
    pod.answers.extend([UNREACHABLE] * 3)
    assert pod.run(2500, 10) == 4
    assert pod.log.reasons() == ["Exchanged", *["Unreachable"] * 3, "Exchanged"]
    assert pod.content() not in ("", before)


def test_back_off_doubles_from_one_second_to_a_minute_with_full_jitter(tmp_path: Path) -> None:
    waits = {}
    for chance in (0.0, 1.0):
        pod = started(tmp_path / str(chance))
        pod.clock.chance = chance
        pod.answers.extend([UNREACHABLE] * 9)
        pod.tick()
        while pod.answers:
            pod.tick(0.5)
        waits[chance] = [line["retrySeconds"] for line in pod.log.lines if "retrySeconds" in line]
    assert waits[0.0] == [0.0] * 9
    assert waits[1.0] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_what_is_permanent_is_asked_rarely_but_only_after_a_minute_of_propagation(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.clock.chance = 1.0
    pod.answers.extend([refusal("AccessDenied", status=403)] * 12)
    pod.tick()
    pod.run(1800)
    waits = [line["retrySeconds"] for line in pod.log.lines if "retrySeconds" in line]
    assert waits[:7] == [1, 2, 4, 8, 16, 32, 300]
    assert set(waits[6:]) == {300}
    assert pod.log.reasons()[0] == "ConditionRejected"


def test_a_refusal_heals_by_itself(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.answers.extend([refusal("AccessDenied", status=403)] * 8)
    pod.run(900)
    assert "aws_access_key_id" in pod.content()


def test_a_new_token_is_tried_at_once_after_a_failure(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.clock.chance = 1.0
    pod.answers.extend([refusal("ExpiredTokenException")] * 10)
    pod.run(300)
    asked = len(pod.forms)
    assert pod.tick(1) == 0
    pod.answers.clear()
    pod.files.put_token(token())
    assert pod.tick(0) == 1
    assert len(pod.forms) == asked + 1
    assert pod.log.reasons()[-1] == "Exchanged"


@pytest.mark.parametrize("header", ["120", "http-date"])
def test_retry_after_is_honoured(tmp_path: Path, header: str) -> None:
    pod = started(tmp_path)
    if header == "http-date":
        import email.utils

        header = email.utils.formatdate(pod.clock.now + 120, usegmt=True)
    pod.answers.append(refusal("Throttling", "Rate exceeded", 400, retry_after=header))
    pod.tick()
    pod.files.put_token(token())
    assert pod.run(119) == 0
    assert pod.run(3) == 1
    assert pod.log.reasons() == ["RateLimited", "Exchanged"]


@pytest.mark.parametrize(
    ("header", "most"), [("86400", 601), ("-5", 2), ("soon", 2), ("Mon, 01 Jan 2001 00:00:00 GMT", 2)]
)
def test_a_senseless_retry_after_delays_no_longer_than_is_good(tmp_path: Path, header: str, most: int) -> None:
    pod = started(tmp_path)
    pod.answers.append(refusal("SlowDown", status=503, retry_after=header))
    pod.tick()
    assert pod.run(most + 1) == 1


def test_a_credential_that_ends_without_renewal_stays_in_its_file(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.tick()
    before = pod.content()
    pod.answers.extend([UNREACHABLE] * 1000)
    pod.run(3700, 10)
    assert pod.log.reasons().count("CredentialEnded") == 1
    # Without a file an SDK would take the next identity it finds.
    assert pod.content() == before
    pod.answers.clear()
    pod.run(61)
    assert pod.content() not in ("", before)


def test_one_exchange_at_a_time_for_each_binding_and_none_waits_for_another(tmp_path: Path) -> None:
    pod = started(tmp_path, "one", "two", slow=True)
    pod.exchanger.tick()
    pod.exchanger.tick()
    pod.clock.advance(5)
    pod.exchanger.tick()
    assert len(pod._waiting) == 2
    pod._waiting.popleft()
    pod.finish()
    assert (pod.content("one"), len(pod.content("two")) > 0) == ("", True)
    assert pod.tick(5000) == 0


def test_a_changed_target_is_taken_on_at_once_and_the_old_credential_bridges(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.tick()
    old = pod.content()
    pod.answers.append(refusal("AccessDenied", status=403))
    pod.files.put_plan(recipe(role=WRITER))
    assert pod.tick() == 1
    assert pod.content() == old
    pod.run(10)
    assert [form["RoleArn"] for form in pod.forms] == [READER, WRITER, WRITER]
    assert pod.content() not in ("", old)


def test_an_answer_to_a_question_that_is_no_longer_asked_is_dropped(tmp_path: Path) -> None:
    pod = started(tmp_path, slow=True)
    pod.tick()
    pod.files.put_plan(recipe(role=WRITER))
    pod.tick()
    pod.finish()
    assert pod.content() == ""
    assert pod.log.reasons() == ["Overtaken"]
    pod.tick()
    pod.finish()
    assert pod.forms[-1]["RoleArn"] == WRITER
    assert pod.content() != ""


def test_the_end_of_a_binding_removes_its_files_and_asks_no_more(tmp_path: Path) -> None:
    pod = started(tmp_path, "one", "two")
    pod.tick()
    pod.files.put_plan(ended("one"), recipe("two"))
    assert pod.tick() == 0
    assert not pod.files.output("one").exists()
    assert pod.content("two") != ""
    assert pod.run(9000, 100) > 0
    assert all(form["RoleSessionName"] == "payments.two" for form in pod.forms[2:])


def test_a_binding_that_ends_during_its_exchange_leaves_nothing(tmp_path: Path) -> None:
    pod = started(tmp_path, slow=True)
    pod.tick()
    pod.files.put_plan(ended())
    pod.tick()
    pod.finish()
    assert list(pod.files.output().parent.glob("*")) == []
    assert pod.run(100) == 0


def test_a_binding_that_is_live_again_resumes(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.tick()
    pod.files.put_plan(ended())
    pod.tick()
    pod.files.put_plan(recipe())
    assert pod.tick() == 1
    assert pod.content() != ""


def test_files_that_cannot_be_removed_are_tried_again_until_they_are_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = started(tmp_path)
    pod.tick()
    with monkeypatch.context() as patch:

        def refuse(path: str) -> None:
            raise PermissionError(13, "Permission denied")

        patch.setattr(files, "remove", refuse)
        pod.files.put_plan(ended())
        pod.tick()
        pod.tick()
    complaints = [line for line in pod.log.lines if line["message"] == "a credential file could not be removed"]
    assert len(complaints) == 1
    assert pod.content() != ""
    pod.tick()
    assert pod.content() == ""


def test_a_restart_goes_on_with_a_good_file_and_its_schedule(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.tick()
    before = pod.content()
    pod.clock.advance(600)
    pod.restart()
    assert pod.run(1700, 10) == 0
    assert pod.content() == before
    assert pod.run(100, 10) == 1


@pytest.mark.parametrize("change", ["expired", "other role", "damaged", "other ceiling", "future"])
def test_a_restart_exchanges_at_once_when_the_file_is_not_what_it_would_ask_for(tmp_path: Path, change: str) -> None:
    pod = started(tmp_path)
    pod.tick()
    match change:
        case "expired":
            pod.clock.advance(3600)
        case "other role":
            pod.files.put_plan(recipe(role=WRITER))
        case "damaged":
            pod.files.output().write_text(pod.content().replace("apostille-exchange/1", "#"))
        case "other ceiling":
            pod.files.put_plan(recipe(seconds=1800))
        case "future":
            pod.clock.now -= 86400
    pod.restart()
    assert pod.tick() == 1
    assert [line for line in pod.log.lines if line["message"].startswith("goes on")] == []


@pytest.mark.parametrize("lost", [0, 1])
def test_a_restart_exchanges_when_one_of_two_files_is_lost_or_older(tmp_path: Path, lost: int) -> None:
    paths = [tmp_path / "run" / name / "credentials" for name in ("a", "b")]
    outputs = tuple(Output(str(path), "aws-credentials", 0o600) for path in paths)
    pod = started(tmp_path, outputs=outputs)
    pod.tick()
    older = paths[lost].read_text()
    pod.clock.advance(2500)
    pod.tick()
    assert paths[0].read_text() == paths[1].read_text() != older
    pod.restart()
    assert pod.tick() == 0
    paths[lost].write_text(older)
    pod.restart()
    assert pod.tick() == 1
    paths[lost].unlink()
    pod.restart()
    assert pod.tick() == 1
    assert paths[0].read_text() == paths[1].read_text()


def test_a_restart_before_the_plan_is_there_leaves_the_files_alone(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.tick()
    before = pod.content()
    pod.files.put_plan_text("")
    pod.restart()
    assert pod.run(100) == 0
    assert pod.content() == before
    pod.files.put_plan(recipe())
    assert pod.tick() == 0
    assert pod.content() == before


def test_a_restart_after_the_end_removes_what_is_there(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.tick()
    pod.files.put_plan(ended())
    pod.restart()
    pod.tick()
    assert pod.content() == ""


def test_a_killed_writers_temporary_file_is_swept(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.tick()
    left = pod.files.output().parent / ".credentials.tmp"
    left.write_text("half a secret")
    pod.restart()
    assert not left.exists()


def test_a_full_volume_is_a_failure_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = started(tmp_path)
    pod.tick()
    before = pod.content()
    with monkeypatch.context() as patch:

        def full(path: str, content: str, mode: int) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(files, "write", full)
        pod.tick(3000)
    assert pod.log.lines[-1]["reason"] == "NotDelivered"
    assert pod.log.lines[-1]["detail"] == "No space left on device"
    assert pod.content() == before
    pod.run(5)
    assert pod.content() not in ("", before)


def test_nothing_is_written_once_it_is_closed(tmp_path: Path) -> None:
    pod = started(tmp_path, slow=True)
    pod.tick()
    pod.exchanger.close()
    pod.finish()
    assert pod.content() == ""


def test_what_nobody_thought_of_is_logged_without_its_text_and_tried_again(tmp_path: Path) -> None:
    pod = started(tmp_path)
    secret = pod.files.token().read_text()
    pod.answers.append(KeyError(secret))
    pod.tick()
    line = pod.log.lines[-1]
    assert (line["reason"], line["detail"].split(" at ")[0]) == ("Unknown", "KeyError")
    assert secret not in str(pod.log.lines)
    assert pod.run(3) == 1


def test_an_exchange_that_cannot_be_started_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pod: Pod = started(tmp_path)

    def no_thread(work: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(pod.exchanger, "_start", no_thread)
        assert pod.tick() == 0
    assert pod.run(3) == 1
