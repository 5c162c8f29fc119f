"""Google Cloud as a party: what bounds it, what containers and sidecar are given, expressions that are not judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apostille.core.pod_plan import pod_plan
from apostille.parties.gcp import cel, documents
from apostille.parties.gcp.evaluate import MAX_SUBJECT
from apostille.parties.gcp.party import GCP
from builders import ISSUER
from samples.gcp import PROVIDER_NAME, READER, gcp_binding, gcp_trust

PARTY = GCP()


@pytest.mark.parametrize("pins", [False, True])
@pytest.mark.parametrize("count", [1, 2, 40])
def test_the_condition_is_counted_as_it_is_rendered(pins: bool, count: int) -> None:
    by = gcp_trust(settings={"pinInstances": pins})
    names = [f"account-{i:03}" for i in range(count)]
    uids = {name: f"00000000-0000-0000-0000-{i:012}" for i, name in enumerate(names)}
    view = gcp_binding(subject={"serviceAccountNames": names}).view(PARTY, uids if pins else None)
    found = {limit.name: limit for limit in PARTY.limits(by.view, [view], ISSUER)}
    made = PARTY.access(by.view, [view], ISSUER)
    assert found["characters of attribute condition"].used == len(made.provider["attributeCondition"])
    assert found["members of IAM policy"].used == count
    assert found["members of IAM policy"].of == READER


def test_the_binding_that_goes_over_the_condition_is_the_newest() -> None:
    views = [
        replace(gcp_binding(f"b{i:03}", subject={"serviceAccountNames": [f"account-{i:03}"]}).view(PARTY),
                created=f"2026-01-{28 - i // 24:02}T{i % 24:02}:00:00Z")
        for i in range(120)
    ]  # fmt: skip
    condition, _ = PARTY.limits(gcp_trust().view, views, ISSUER)
    assert condition.used > condition.most == 4096
    fits = [view for view in sorted(views, key=lambda view: view.created) if view.created]
    while PARTY.limits(gcp_trust().view, fits, ISSUER)[0].over:
        last = fits.pop()
    assert condition.over == last.key


def test_the_subject_is_bounded_under_this_provider() -> None:
    room = MAX_SUBJECT - len("payments//cluster-a")
    for length, over in ((room, False), (room + 1, True)):
        view = gcp_binding(subject={"serviceAccountNames": ["s" * length]}).view(PARTY)
        rules = [finding.rule.id for finding in PARTY.findings(gcp_trust().view, [view], ISSUER)]
        assert ("GCP104" in rules) is over
        made = documents.google_subject("cluster-a", "payments", "s" * length)
        assert (len(made) > MAX_SUBJECT) is over


def test_the_recipe_of_the_sidecar() -> None:
    for account, endpoints, seconds in (
        (READER, {"impersonation": "https://iamcredentials.googleapis.com/"}, 900),
        ("direct", {}, 3600),
    ):
        by = gcp_trust(ceilings={"sessionSeconds": 900})
        made = pod_plan(by, gcp_binding(account=account, delivery={"mode": "Sidecar"}))
        admission, recipe = made.frozen.admission, made.live.recipe
        assert admission is not None
        assert recipe is not None
        assert (admission.grant, admission.endpoint) == ("GoogleSTS", "https://sts.googleapis.com/v1/token")
        assert admission.settings == {"provider": f"//iam.googleapis.com/{PROVIDER_NAME}"}
        assert (admission.endpoints, admission.session_seconds) == (endpoints, seconds), "an hour is Google's to say"
        assert recipe.parameters == ({"serviceAccount": READER} if endpoints else {})


def test_another_service_account_makes_running_pods_stale_and_changes_no_file_of_theirs() -> None:
    before, after = (pod_plan(gcp_trust(), gcp_binding(account=account)) for account in (READER, "direct"))
    assert before.frozen.digest != after.frozen.digest
    assert before.live.files == after.live.files == {}
    assert list(before.files) == ["credentials.json"]


@pytest.mark.parametrize(
    "text",
    ["assertion.sub.matches('^x$')", "assertion.sub.extract('{x}')", "assertion.sub ==", "'a' < 'b'", "1 - 1 == 0",
     "x ? true : ", "assertion.sub == 'a' 'b'", "unknown(1)", "has(1)", "'\\x41' == 'A'", "[1, 2", "a.b.c.", "@",
     "assertion.exists(x, x == 'a')"],
)  # fmt: skip
def test_what_is_not_judged_is_never_taken_as_passed(text: str) -> None:
    with pytest.raises(cel.CannotJudge):
        cel.parse(text).holds({"assertion": {"sub": "x"}})


def test_literals_are_quoted() -> None:
    for value in ("", "it's", "a\\", "\\'", "system:serviceaccount:a:b"):
        assert cel.parse(cel.text(value)).value({}) == value


def test_conditionals_and_escapes() -> None:
    scope = {"assertion": {"sub": "a", "flag": True}}
    assert cel.parse("assertion.flag ? assertion.sub == 'a' : false").holds(scope)
    assert cel.parse("(assertion.missing == 'x') || assertion.flag").holds(scope), "an error is absorbed"
    assert not cel.parse("assertion.missing == 'x' || !assertion.flag").holds(scope)
    assert cel.parse('\'\\n\' + "\\""').value({}) == '\n"'
