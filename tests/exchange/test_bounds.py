"""What an annotation can and cannot do: the admission bounds it, and what is unreadable changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from apostille_exchange.recipe import Output, Recipe
from exchange.scene import AUDIENCE, READER, Pod, ended, plan_text, recipe, started, token


def test_a_longer_session_is_clamped_to_the_ceiling(tmp_path: Path) -> None:
    pod = started(tmp_path, session_seconds=1800)
    pod.tick()
    assert pod.forms[0]["DurationSeconds"] == "1800"
    clamped = [line for line in pod.log.lines if line.get("reason") == "RecipeClamped"]
    assert [line["detail"] for line in clamped] == ["sessionSeconds: 3600 is above 1800"]


@pytest.mark.parametrize(("asked", "sent"), [(1800, "1800"), (900, "900"), (60, "900")])
def test_a_shorter_session_is_followed_as_far_as_the_party_can(tmp_path: Path, asked: int, sent: str) -> None:
    pod = started(tmp_path)
    pod.files.put_plan(recipe(seconds=asked))
    pod.tick()
    assert pod.forms[0]["DurationSeconds"] == sent


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (recipe(seconds=0), "sessionSeconds"),
        (recipe(seconds=-1), "sessionSeconds"),
        (recipe(role="arn:aws:iam::123456789012:user/x"), "roleARN"),
        (recipe(role=""), "roleARN"),
        (recipe(role=READER + "\n"), "roleARN"),
        (Recipe("s3-files", {"roleARN": READER}), "roleSessionName"),
        (recipe(endpoint="https://evil.example/"), "endpoint"),
        (recipe(Policy="{}"), "Policy"),
    ],
)
def test_a_recipe_that_cannot_be_followed_changes_nothing(tmp_path: Path, bad: Recipe, field: str) -> None:
    pod = started(tmp_path)
    pod.tick()
    before = pod.content()
    pod.files.put_plan(bad)
    assert pod.run(100) == 0
    refused = [line for line in pod.log.lines if line.get("reason") == "RecipeRefused"]
    assert len(refused) == 1
    assert f".{field}:" in refused[0]["detail"]
    assert pod.content() == before
    # The last good one is also what is renewed.
    pod.run(3000, 100)
    assert {form["RoleArn"] for form in pod.forms} == {READER}
    assert len(pod.forms) == 2


def test_a_bad_recipe_does_not_bring_an_ended_binding_back(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.files.put_plan(ended())
    pod.tick()
    pod.files.put_plan(recipe(role="nonsense"))
    assert pod.run(10) == 0


def test_a_recipe_for_a_binding_that_was_not_admitted_is_ignored(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.files.put_plan(recipe(), recipe("other"))
    pod.tick()
    assert [form["RoleSessionName"] for form in pod.forms] == ["payments.s3-files"]
    assert [line["binding"] for line in pod.log.lines if line.get("reason") == "RecipeRefused"] == ["other"]


def test_a_binding_that_is_left_out_of_the_plan_keeps_what_it_had(tmp_path: Path) -> None:
    pod = started(tmp_path, "one", "two")
    pod.tick()
    pod.files.put_plan(recipe("two"))
    pod.run(3000, 100)
    assert [form["RoleSessionName"] for form in pod.forms].count("payments.one") == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"format":2,"bindings":{}}',
        '{"format":1}',
        "\udcff",
        plan_text(ended())[:-5],
        "x" * 300_000,
    ],
)
def test_an_unreadable_plan_is_waited_for(tmp_path: Path, text: str) -> None:
    pod = started(tmp_path)
    pod.tick()
    before = pod.content()
    pod.files.plan.parent.joinpath("..data", "plan").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert pod.run(100) == 0
    assert pod.log.reasons().count("PlanUnreadable") == 1
    assert pod.content() == before
    pod.files.put_plan(ended())
    pod.tick()
    assert pod.content() == ""


def test_a_plan_that_vanishes_is_told_each_time_and_changes_nothing(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.tick()
    aside = pod.files.plan.with_name("aside")
    for _ in range(2):
        pod.files.plan.rename(aside)
        pod.run(3)
        aside.rename(pod.files.plan)
        assert pod.run(3) == 0
    assert pod.log.reasons() == ["Exchanged", "PlanUnreadable", "PlanUnreadable"]


def test_a_plan_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    pod = Pod(tmp_path)
    pod.files.put_token(token())
    assert pod.run(100) == 0
    assert pod.log.reasons() == ["PlanUnreadable"]
    pod.files.put_plan(recipe())
    assert pod.tick() == 1


@pytest.mark.parametrize(
    "content", [None, "", "a.b", "not a token", "a.!!.c", "e30.bm8=.x", token()[:60], "x" * 70_000]
)
def test_a_token_that_is_not_whole_is_waited_for(tmp_path: Path, content: str | None) -> None:
    pod = Pod(tmp_path)
    pod.files.put_plan(recipe())
    if content is not None:
        pod.files.put_token(content)
    pod.tick()
    assert (pod.forms, pod.log.reasons()[-1]) == ([], "TokenUnreadable")
    assert not content or content not in str(pod.log.lines)
    pod.files.put_token(token())
    assert pod.tick() == 1
    assert pod.log.reasons()[-1] == "Exchanged"


@pytest.mark.parametrize(
    "audience", ["https://kubernetes.default.svc", [AUDIENCE, "https://other.example"], [], [[AUDIENCE]]]
)
def test_a_token_that_others_would_accept_is_never_sent(tmp_path: Path, audience: str | list[str]) -> None:
    pod = started(tmp_path)
    pod.files.put_token(token(audience))
    pod.run(100)
    assert pod.forms == []
    assert set(pod.log.reasons()) == {"AudienceMismatch"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"grant": "NoSuchGrant"}, "admission.grant"),
        ({"endpoint": "http://sts.eu-west-1.amazonaws.com/"}, "admission.endpoint"),
        ({"outputs": (Output("/x/y", "no-such-format"),)}, "admission.outputs.format"),
        ({"session_seconds": 600}, "admission.sessionSeconds"),
    ],
)
def test_an_admission_that_cannot_be_served_is_said_once_and_harms_no_other(
    tmp_path: Path, changes: dict[str, object], field: str
) -> None:
    pod = started(tmp_path, **changes)
    assert pod.run(10) == 0
    refused = [line for line in pod.log.lines if line.get("reason") == "AdmissionRefused"]
    assert [line["detail"].split(":")[0] for line in refused] == [field]
