"""Rotation of the serving certificate: from every state and in every order nothing is served that is not trusted."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from apostille.core.certificates import (
    Decision,
    Kept,
    Pair,
    Renewal,
    Seen,
    after,
    bundle,
    certificates,
    decide,
    fingerprint,
    must_trust,
)
from builders import NOW

pytestmark = pytest.mark.property

LIFE = timedelta(days=90)
RENEWAL = Renewal(LIFE, LIFE / 3)
DAY = timedelta(days=1)


def pair(name: str, now: datetime = NOW, life: timedelta = LIFE) -> Pair:
    return Pair(f"leaf-{name}", frozenset({f"ca-{name}"}), now + life)


A, B, C = pair("a"), pair("b"), pair("c")
CA, CB = frozenset({"ca-a"}), frozenset({"ca-b"})
KEPT = Kept(A, None, CA)
CALM = Seen({"kinds": CA, "pods": CA}, True, True, {"one": "leaf-a", "two": "leaf-a"})


def seen(bundles: frozenset[str], replicas: dict[str, str | None] | None = None, **how: Any) -> Seen:
    return replace(
        CALM,
        bundles={"kinds": bundles, "pods": bundles},
        replicas=CALM.replicas if replicas is None else replicas,
        **how,
    )


@pytest.mark.parametrize(
    ("kept", "observed", "expected"),
    [
        # A first installation: nothing can be broken, so nothing is waited for.
        (Kept(), Seen(), "install"),
        (KEPT, CALM, "done"),
        (Kept(replace(A, not_after=NOW + LIFE / 3), None, CA), CALM, "prepare"),
        (Kept(replace(A, not_after=NOW - DAY), None, CA), CALM, "prepare"),
        # Made under a clock that ran ahead, or with a lifetime that is wanted no more.
        (Kept(replace(A, not_after=NOW + 3 * LIFE), None, CA), CALM, "prepare"),
        (Kept(A, B, CA | CB), CALM, "spread"),
        (Kept(A, B, CA | CB), replace(CALM, bundles={"kinds": CA | CB, "pods": CA}), "spread"),
        (Kept(A, B, CA | CB), seen(CA | CB, settled=False), "wait"),
        (Kept(A, B, CA | CB), seen(CA | CB, shown=False), "wait"),
        (Kept(A, B, CA | CB), seen(CA | CB), "switch"),
        # Nobody answers whom the API server could ask: time has to do.
        (Kept(A, B, CA | CB), seen(CA | CB, shown=None), "switch"),
        (Kept(A, B, CA | CB), seen(CA | CB, shown=None, settled=False), "wait"),
        (Kept(B, None, CA | CB), seen(CA | CB, {"one": "leaf-b", "two": "leaf-a"}), "wait"),
        (Kept(B, None, CA | CB), seen(CA | CB, {"one": "leaf-b", "two": None}), "wait"),
        (Kept(B, None, CA | CB), seen(CA | CB, {"one": "leaf-b"}), "forget"),
        (Kept(B, None, CB), seen(CA | CB, {"one": "leaf-b"}), "spread"),
        # The Secret was lost, or what it had is worth nothing: what is trusted stays beside the new one.
        (Kept(), CALM, "prepare"),
        (Kept(None, B, CA | CB), seen(CA), "spread"),
        (Kept(None, B, CA | CB), seen(CA | CB), "switch"),
        (Kept(A, replace(B, not_after=NOW), CA | CB), seen(CA | CB), "prepare"),
        # Somebody edited a caBundle.
        (KEPT, replace(CALM, bundles={"kinds": CA, "pods": frozenset({"foreign"})}), "spread"),
        (KEPT, replace(CALM, bundles={"kinds": CA, "pods": frozenset()}), "spread"),
    ],
)
def test_next_step(kept: Kept, observed: Seen, expected: str) -> None:
    assert decide(kept, observed, NOW, RENEWAL).step == expected


def test_what_a_bundle_has_goes_only_when_no_replica_can_need_it() -> None:
    foreign = replace(CALM, bundles={"kinds": CA | {"foreign"}})

    assert must_trust(KEPT, foreign) == CA
    for unseen in ({"one": "leaf-a", "two": None}, {"one": "leaf-x"}, None):
        assert must_trust(KEPT, replace(foreign, replicas=unseen)) == CA | {"foreign"}


def test_what_somebody_else_keeps_is_taken_instead() -> None:
    offered = pair("offered", life=timedelta(days=5))

    assert decide(KEPT, CALM, NOW, RENEWAL, offered).step == "prepare"
    assert decide(Kept(A, B, CA | CB), seen(CA | CB), NOW, RENEWAL, offered).step == "prepare"
    kept = Kept(A, offered, CA | offered.authorities)
    assert decide(kept, seen(CA | offered.authorities), NOW, RENEWAL, offered).step == "switch"
    kept = Kept(offered, None, offered.authorities)
    replicas: dict[str, str | None] = {"one": offered.leaf}
    assert decide(kept, seen(offered.authorities, replicas), NOW, RENEWAL, offered).step == "done"


def test_only_what_is_asked_for_is_written() -> None:
    with pytest.raises(ValueError, match="done writes nothing"):
        after(KEPT, Decision("done", CA))
    with pytest.raises(ValueError, match="prepare writes nothing"):
        after(KEPT, Decision("prepare", CA))


def test_a_bundle_is_the_same_for_the_same_authorities() -> None:
    one, two = (f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n" for body in ("AAAA", "BBBB"))

    assert bundle([one, two]) == bundle(["noise", two + "noise\n" + one, one])
    assert certificates(two + "-----BEGIN CERTIFICATE-----\n%%\n-----END CERTIFICATE-----\n" + one) == [two, one]
    assert fingerprint(one + two) == fingerprint(one.replace("\n", "\r\n")) != fingerprint(two)
    assert fingerprint("nothing") == ""


class Rotation(RuleBasedStateMachine):
    """Controller, API server, replicas and faults, one small thing at a time in any order.

    Held after each: what was verified before is verified still, by each caBundle that the API server may use. A leaf
    that a replica takes is verified, too. What is not held is what a hand edit itself breaks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.numbers = itertools.count()
        self.now = NOW
        self.secret: Kept | None = None
        self.stored: dict[str, frozenset[str]] = {}
        # Of each caBundle what the API server may use: the last is what is stored.
        self.used: dict[str, list[frozenset[str]]] = {}
        self.replicas: dict[str, str | None] = {"one": None, "two": None}
        self.authorities: dict[str, frozenset[str]] = {}
        # What the controller remembers, and loses with its process.
        self.looked: dict[str, str | None] | None = None
        self.verified: set[tuple[str, str, str]] = set()

    # The controller.

    def observed(self) -> Seen:
        over = all(len(used) == 1 for used in self.used.values())
        return Seen(dict(self.stored), over, over if any(self.replicas.values()) else None, self.looked)

    def decision(self) -> Decision:
        return decide(self.secret or Kept(), self.observed(), self.now, RENEWAL)

    @rule()
    def one_write(self) -> None:
        """Whatever is next: one object, so that a crash comes between any two."""
        decided = self.decision()
        if decided.step == "spread":
            name = next(name for name, bundle in sorted(self.stored.items()) if bundle != decided.trusted)
            self.write(name, decided.trusted)
        elif decided.step in ("install", "prepare"):
            new = pair(str(next(self.numbers)), self.now)
            self.authorities[new.leaf] = new.authorities
            self.secret = after(self.secret or Kept(), decided, new)
        elif decided.step in ("switch", "forget"):
            self.secret = after(self.secret or Kept(), decided)

    @precondition(lambda self: self.secret is not None and self.secret.trusted)
    @rule(name=st.sampled_from(["kinds", "pods", "more"]))
    def one_more_configuration(self, name: str) -> None:
        if name not in self.stored:
            self.write(name, self.decision().trusted)

    @rule()
    def look(self) -> None:
        self.looked = dict(self.replicas)

    @rule()
    def look_in_vain(self) -> None:
        self.looked = dict.fromkeys(self.replicas)

    @rule()
    def crash(self) -> None:
        self.looked = None

    def write(self, name: str, bundle: frozenset[str]) -> None:
        self.stored[name] = bundle
        self.used.setdefault(name, []).append(bundle)

    # The world.

    @rule(name=st.sampled_from(["kinds", "pods", "more"]))
    def api_server_hears(self, name: str) -> None:
        self.used[name] = self.used.get(name, [])[1:] or self.used.get(name, [])[-1:]
        if not self.used[name]:
            del self.used[name]

    @rule(name=st.sampled_from(["one", "two", "three"]))
    def replica_hears(self, name: str) -> None:
        if name in self.replicas and self.secret is not None and self.secret.serving is not None:
            self.replicas[name] = self.secret.serving.leaf

    @rule(name=st.sampled_from(["one", "two", "three"]))
    def replica_restarts(self, name: str) -> None:
        self.replicas[name] = None
        self.replica_hears(name)

    @rule(name=st.sampled_from(["one", "two", "three"]))
    def replica_ends(self, name: str) -> None:
        self.replicas.pop(name, None)

    @rule(days=st.integers(1, 200))
    def time_passes(self, days: int) -> None:
        self.now += days * DAY

    @rule(days=st.integers(1, 400))
    def clock_jumps_back(self, days: int) -> None:
        self.now -= days * DAY

    # Hands. What the Secret and all caBundles lose at the same time nobody can know any more.

    def served(self) -> frozenset[str]:
        return frozenset().union(*(self.authorities[leaf] for leaf in self.replicas.values() if leaf is not None))

    @precondition(lambda self: self.secret is not None and self.served() <= must_trust(self.secret, Seen()))
    @rule(name=st.sampled_from(["kinds", "pods", "more"]))
    def configuration_deleted(self, name: str) -> None:
        self.stored.pop(name, None)
        self.used.pop(name, None)

    @precondition(lambda self: self.served() <= self.observed().in_bundles)
    @rule()
    def secret_deleted(self) -> None:
        self.secret = None

    @precondition(lambda self: self.served() <= self.observed().in_bundles)
    @rule(which=st.sampled_from(["serving", "following", "trusted"]))
    def secret_damaged(self, which: str) -> None:
        if self.secret is not None:
            self.secret = replace(self.secret, **{which: frozenset() if which == "trusted" else None})

    # What is held.

    @invariant()
    def what_is_served_is_trusted(self) -> None:
        served = {(name, leaf) for name, leaf in self.replicas.items() if leaf is not None}
        for name, bundles in self.used.items():
            for used in bundles:
                for replica, leaf in served:
                    assert self.authorities[leaf] <= used, f"{replica} serves {leaf}; {name} trusts {sorted(used)}"

    def teardown(self) -> None:
        """Left alone, it comes to rest: one authority, one leaf, everywhere."""
        for _ in range(60):
            for name in list(self.used):
                self.api_server_hears(name)
            for name in list(self.replicas):
                self.replica_hears(name)
            self.look()
            if self.decision().step == "done" and not any(len(used) > 1 for used in self.used.values()):
                break
            self.one_write()
            self.what_is_served_is_trusted()
        assert self.secret is not None
        assert self.secret.serving is not None
        assert self.secret.following is None
        assert not RENEWAL.due(self.secret.serving, self.now)
        assert set(self.stored.values()) <= {self.secret.serving.authorities}
        assert set(self.replicas.values()) <= {self.secret.serving.leaf}


TestRotation = Rotation.TestCase
TestRotation.settings = settings(
    max_examples=100, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)
