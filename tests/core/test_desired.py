"""From declarations to what the API server is told: what the rules refuse is in none of it."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from apostille.core.access import access
from apostille.core.desired import Desired, desired, plans_for
from apostille.core.grants import Grant, Protection, policies
from apostille.core.inject import inject
from apostille.core.pod_plan import pod_plan
from apostille.core.resolve import resolve
from apostille.core.selection import selection
from apostille.core.settings import InjectionSettings
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.identity import ServiceAccount
from builders import AUDIENCE, CONTEXT, ISSUER, NOW, SETTINGS, allow, binding, pairs, pod, role, trust, world
from properties import examples

READER = ServiceAccount("payments", "reader")


def test_one_binding() -> None:
    made = desired(world([trust()], [binding()]), {})
    assert made == Desired(
        bound=frozenset({READER}),
        allowed=frozenset({READER}),
        protections=(Protection(AUDIENCE, "Audit"),),
        grants=frozenset({Grant(READER, AUDIENCE, 3600)}),
    )


def test_a_binding_that_is_not_in_force_leaves_its_pair_allowed_and_its_audience_protected() -> None:
    for ended in (binding(suspended=True), binding(validity={"notAfter": NOW.isoformat()})):
        made = desired(world([trust()], [ended]), {})
        assert (made.bound, made.grants) == (frozenset(), frozenset())
        assert made.allowed == {READER}
        assert made.protections == (Protection(AUDIENCE, "Audit"),)


def test_a_deleted_binding_takes_its_grant_and_leaves_the_protection() -> None:
    by = trust(enforcement={"mode": "Enforce"})
    before, after = desired(world([by], [binding()]), {}), desired(world([by]), {})
    assert after == Desired(allowed=frozenset({READER}), protections=before.protections)
    assert before.protections == (Protection(AUDIENCE, "Enforce"),)
    policy = {
        document["metadata"]["name"]: document["spec"]
        for document in policies(after.protections, after.grants, SETTINGS)
        if document["kind"] == "ValidatingAdmissionPolicy"
    }
    for name in ("apostille-tokens-enforce-0", "apostille-pods-enforce-0"):
        variables = {variable["name"]: variable["expression"] for variable in policy[name]["variables"]}
        assert (variables["guarded"], variables["grants"]) == (f'["{AUDIENCE}"]', "{'': 0}")


@pytest.mark.parametrize(
    ("spec", "others"),
    [({"allow": [allow("kube-system")]}, []), ({"ceilings": {"assertionSeconds": 3607}}, []), ({}, [trust("b")])],
)
def test_a_refused_trust_grants_nothing_and_reopens_nothing(spec: dict[str, Any], others: list[Any]) -> None:
    """A mistake in it, made after its audience was closed, must not open the audience to everybody."""
    by = trust(**{"enforcement": {"mode": "Enforce"}} | spec)
    made = desired(world([by, *others], [binding()]), {})
    assert made == Desired(protections=(Protection(AUDIENCE, "Enforce"),))


@pytest.mark.parametrize("audience", ["", "https://kubernetes.default.svc", "api.internal", ISSUER.url, "https://*"])
def test_what_is_no_audience_of_a_receiver_is_never_protected(audience: str) -> None:
    """Protecting the API server's own would take every pod's token for it."""
    assert desired(world([trust(audience=audience, enforcement={"mode": "Enforce"})]), {}) == Desired()


def test_a_suspended_trust_ends_all_its_bindings() -> None:
    judged = world([trust(suspended=True)], [binding(), binding("second")])
    assert desired(judged, {}).grants == frozenset()
    assert plans_for(judged, READER) == []


def test_a_grant_is_the_highest_of_several() -> None:
    low = trust("low", sharedAudience=True, ceilings={"assertionSeconds": 900})
    high = trust("high", sharedAudience=True, ceilings={"assertionSeconds": 7200})
    bindings = [
        binding("a", trustRef={"name": "low"}, token={"expirationSeconds": 600}),
        binding("b", trustRef={"name": "high"}),
    ]
    assert desired(world([low, high], bindings), {}).grants == {Grant(READER, AUDIENCE, 7200)}


def test_of_trusts_that_share_an_audience_the_strictest_mode_holds() -> None:
    accounts = {"a": "Audit", "b": "Enforce", "c": "Warn"}
    trusts = [
        trust(name, enforcement={"mode": mode}, allow=[allow(accounts=[f"sa-{name}"])])
        for name, mode in accounts.items()
    ]
    made = desired(world(trusts), {"b": {"legacy": 2}, "c": {"batch": 1}})
    assert made.protections == (Protection(AUDIENCE, "Enforce", ("batch", "legacy")),)


def test_foreign_users_spare_their_namespace_unless_forced() -> None:
    foreign = {"aws-prod": {"legacy": 3, "batch": 1}}
    spared = desired(world([trust(enforcement={"mode": "Enforce"})]), foreign)
    forced = desired(world([trust(enforcement={"mode": "Enforce", "force": True})]), foreign)
    assert spared.protections == (Protection(AUDIENCE, "Enforce", ("batch", "legacy")),)
    assert forced.protections == (Protection(AUDIENCE, "Enforce"),)


def test_next_change_is_the_earliest_of_all() -> None:
    soon, late = NOW + timedelta(hours=1), NOW + timedelta(hours=2)
    bindings = [
        binding("a", validity={"notAfter": late.isoformat()}),
        binding("b", validity={"notBefore": soon.isoformat()}),
    ]
    assert world([trust()], bindings).next_change == soon
    assert world([trust()], [binding()]).next_change is None


# Declarations that are mostly right: each field is wrong now and then, so that every rule decides alone sometimes.
NAMESPACES = ["payments", "orders", "kube-system", "apostille-system", "*"]
ACCOUNTS = ["reader", "writer", "default", "r*"]
ROLES = [role("payments-reader"), role("writer"), role("foreign", "999999999999"), "not-an-arn-at-all-here"]
BAD_AUDIENCES = ["https://kubernetes.default.svc", "", "a*", "api.internal", "vault"]
PAST, FUTURE = ((NOW + timedelta(hours=hours)).isoformat() for hours in (-1, 1))


def mostly(right: list[Any], wrong: list[Any]) -> st.SearchStrategy[Any]:
    """One of ``right``, one time in twelve one of ``wrong``."""
    return st.integers(0, 11).flatmap(lambda dice: st.sampled_from(right if dice < 11 else wrong))


names = mostly(["a"], ["b", "c"])
namespaces = mostly(NAMESPACES[:1], NAMESPACES[1:])
accounts = st.lists(mostly(ACCOUNTS[:2], ACCOUNTS[2:]), min_size=1, max_size=2, unique=True)
roles = mostly(ROLES[:1], ROLES[1:])
seconds = mostly([3600], [600, 3607])
flags = mostly([False], [True])

allows = st.lists(
    st.builds(allow, namespaces, accounts, st.lists(roles, min_size=1, max_size=2)), min_size=1, max_size=3
)

trusts = st.lists(
    st.builds(
        lambda name, audience, allows, mode, seconds, shared, suspended, expires: trust(
            name, audience=audience, allow=allows, enforcement={"mode": mode}, ceilings={"assertionSeconds": seconds},
            sharedAudience=shared, suspended=suspended, governance={"expiresAt": expires},
        ),
        st.sampled_from(["a", "a", "b"]), mostly([AUDIENCE, "https://b.sts.example", None], BAD_AUDIENCES),
        allows,
        st.sampled_from(["Audit", "Warn", "Enforce"]), seconds, mostly([True], [False]), flags,
        mostly([None, FUTURE], [PAST]),
    ),
    max_size=3, unique_by=lambda made: made.name,
)  # fmt: skip
bindings = st.lists(
    st.builds(
        lambda name, namespace, by, accounts, arn, seconds, begin, end, suspended, mode: binding(
            name, namespace, trustRef={"name": by}, subject={"serviceAccountNames": accounts},
            target={"aws": {"roleARN": arn}}, token={"expirationSeconds": seconds}, suspended=suspended,
            validity={"notBefore": begin, "notAfter": end}, delivery={"mode": mode},
        ),
        st.sampled_from(["x", "y", "z"]), namespaces, names, accounts, roles, mostly([600, 3600], [3607]),
        mostly([None, PAST], [FUTURE]), mostly([None, FUTURE], [PAST]), flags,
        st.sampled_from(["Auto", "SDK", "Sidecar"]),
    ),
    max_size=4, unique_by=lambda made: (made.namespace, made.name),
)  # fmt: skip


def test_the_generated_declarations_are_not_all_refused() -> None:
    """Otherwise the properties below would say nothing."""
    find(
        st.tuples(trusts, bindings),
        lambda drawn: bool(desired(world(*drawn), {}).grants),
        settings=settings(max_examples=300, database=None, derandomize=True, phases=[Phase.generate]),
    )


def targets_of(by: FederationTrust, account: ServiceAccount) -> set[str]:
    """Written anew, so that it is held against the rules and not made of them."""
    return {
        target
        for entry in by.spec.allow
        if entry.namespace == account.namespace and account.name in entry.service_accounts
        for target in entry.targets
    }


def innocent(of: WorkloadBinding, by: FederationTrust) -> bool:
    """Nothing that design and catalogue refuse; independent of judge, phase and resolve."""
    arn = of.spec.target.aws.role_arn  # type: ignore[attr-defined]
    return (
        by.audience in (AUDIENCE, "https://b.sts.example", "sts.amazonaws.com")
        and not by.spec.suspended
        and not of.spec.suspended
        and (by.spec.governance.expires_at is None or by.spec.governance.expires_at > NOW)
        and (of.spec.validity.not_before is None or of.spec.validity.not_before <= NOW)
        and (of.spec.validity.not_after is None or of.spec.validity.not_after > NOW)
        and of.spec.token.expiration_seconds <= by.spec.ceilings.assertion_seconds
        and 3607 not in (of.spec.token.expiration_seconds, by.spec.ceilings.assertion_seconds)
        and of.namespace in ("payments", "orders")
        and all(a.name in ("reader", "writer") and arn in targets_of(by, a) for a in of.service_accounts)
        and arn in (role("payments-reader"), role("writer"))
    )


@examples(150)
@given(trusts, bindings)
def test_what_is_refused_grants_selects_and_injects_nothing(
    declared: list[FederationTrust], wanted: list[WorkloadBinding]
) -> None:
    judged = world(declared, wanted)
    made = desired(judged, {})
    by_name = {by.name: by for by in declared}
    right = [
        (of, by_name[of.spec.trust_ref.name])
        for of in wanted
        if of.spec.trust_ref.name in by_name and innocent(of, by_name[of.spec.trust_ref.name])
    ]
    assert made.bound <= {account for of, _ in right for account in of.service_accounts}
    assert {(g.account, g.audience) for g in made.grants} <= {
        (a, by.audience) for of, by in right for a in of.service_accounts
    }
    assert all(g.seconds <= max(by.spec.ceilings.assertion_seconds for _, by in right) for g in made.grants)
    assert all(account.namespace in ("payments", "orders") for account in made.allowed | made.bound)
    assert all(
        protection.audience not in ("", "api.internal", "https://kubernetes.default.svc")
        for protection in made.protections
    )
    for namespace in NAMESPACES:
        for name in ACCOUNTS:
            account = ServiceAccount(namespace, name)
            plans = plans_for(judged, account)
            expected = {of.name for of, _ in right if account in of.service_accounts}
            assert {plan.binding for plan in plans} <= expected
            assert bool(plans) == (account in made.bound)


@examples(40)
@given(trusts, bindings, st.integers(0, 1000))
def test_the_order_of_what_is_declared_does_not_matter(
    declared: list[FederationTrust], wanted: list[WorkloadBinding], seed: int
) -> None:
    def everything(some: list[FederationTrust], of: list[WorkloadBinding]) -> Any:
        judged = resolve(some, of, CONTEXT, NOW)
        made = desired(judged, {})
        return (
            judged,
            selection(made.bound, made.allowed, SETTINGS),
            policies(made.protections, made.grants, SETTINGS),
            [access(t.trust, judged.of_trust(name), ISSUER).digest for name, t in judged.trusts.items() if t.accepted],
            [inject(pod(), plans_for(judged, account), InjectionSettings()) for account in sorted(made.bound)],
        )

    shuffle = random.Random(seed).sample  # noqa: S311 - an order, no secret
    assert everything(declared, wanted) == everything(shuffle(declared, len(declared)), shuffle(wanted, len(wanted)))


def test_digests_are_stable_over_releases() -> None:
    """A changed digest makes every running pod of every user stale: change it only when their pods must restart."""
    assert pod_plan(trust(), binding()).frozen.digest == "538f807080c60c56"
    assert pod_plan(trust(), binding(delivery={"mode": "Sidecar"})).frozen.digest == "0d9f01780c806ac0"


def test_only_what_is_frozen_enters_the_digest() -> None:
    def digest(by: FederationTrust | None = None, **spec: Any) -> str:
        return pod_plan(by or trust(), binding(**spec)).frozen.digest

    sidecar: dict[str, Any] = {"delivery": {"mode": "Sidecar"}}
    other = trust(allow=[allow(targets=[role("other")])])
    # A sidecar follows to another role; an SDK has it in its environment.
    assert digest(other, **sidecar, target={"aws": {"roleARN": role("other")}}) == digest(**sidecar)
    assert digest(other, target={"aws": {"roleARN": role("other")}}) != digest()
    assert digest(trust(governance={"expiresAt": NOW.isoformat()})) == digest(), "time is in no digest"
    assert digest(validity={"notAfter": NOW.isoformat()}) == digest()
    assert digest(subject={"serviceAccountNames": ["reader", "writer"]}) == digest(), "nor are other subjects"
    assert digest(token={"expirationSeconds": 900}) != digest()
    assert digest(delivery={"containers": {"include": ["app"]}}) != digest()
    assert digest(trust(audience="https://b.sts.example")) != digest()


def test_plans_are_those_of_the_account() -> None:
    wide = trust(allow=[allow(accounts=["reader", "writer"])])
    judged = world([wide], [binding("z"), binding("a", subject={"serviceAccountNames": ["reader", "writer"]})])
    assert [plan.binding for plan in plans_for(judged, READER)] == ["a", "z"]
    assert [plan.binding for plan in plans_for(judged, pairs("payments/writer")[0])] == ["a"]
    assert plans_for(judged, pairs("payments/other")[0]) == []
