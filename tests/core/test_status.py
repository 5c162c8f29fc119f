"""What is reported: the way from a cause to the condition that names it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apostille.core.access import access
from apostille.core.desired import Desired, InForce, desired
from apostille.core.resolve import World, resolve
from apostille.core.status import TrustFacts, binding_status, granted, trust_status
from apostille.kinds.decode import Unreadable
from apostille.kinds.status import PodCounts, to_json
from apostille.model.conditions import find
from apostille.model.names import BINDING_KIND, TRUST_KIND
from builders import AUDIENCE, CONTEXT, ISSUER, NOW, allow, binding, raw_binding, raw_trust, trust, world

ENFORCE: dict[str, Any] = {"enforcement": {"mode": "Enforce"}}
NO_PODS = PodCounts()

Condition = tuple[str, str]


def of_trust(judged: World, now: Any = NOW, **changed: Any) -> dict[str, Any]:
    """The written status of the trust aws-prod, with everything in force unless ``changed``."""
    resolved = judged.trusts["aws-prod"]
    made = desired(judged, {"aws-prod": changed.get("foreign", {})})
    facts: dict[str, Any] = {
        "bindings": judged.of_trust("aws-prod"),
        "issuer": ISSUER,
        "issuer_error": "",
        "access": access(resolved.trust, judged.of_trust("aws-prod"), ISSUER),
        "access_error": "",
        "foreign": {},
        "in_force": InForce(made, made, True),
    } | changed
    return to_json(trust_status(resolved, TrustFacts(**facts), now))


def of_binding(judged: World, in_force: InForce | None = None, pods: PodCounts = NO_PODS) -> dict[str, Any]:
    made = desired(judged, {})
    (resolved,) = judged.bindings
    return to_json(binding_status(resolved, pods, in_force or InForce(made, made, True), NOW))


def said(status: dict[str, Any], kind: str = "Ready") -> Condition:
    found = find(status["conditions"], kind)
    return found.get("status", ""), found.get("reason", "")


def test_a_trust_as_declared() -> None:
    status = of_trust(world([trust()], [binding()]))
    assert said(status, "Accepted") == ("True", "Accepted")
    assert said(status, "IssuerReady") == ("True", "Discovered")
    assert said(status, "Configured") == ("True", "Rendered")
    assert said(status, "Enforced") == ("False", "Audit")
    assert said(status) == ("True", "Ready")
    assert said(status, "Reconciling") == ("False", "Stable")
    assert said(status, "Stalled") == ("False", "Stable")
    assert status["bindings"] == {"total": 1, "live": 1}
    assert status["access"]["configMap"] == "apostille-access-aws-prod"


@pytest.mark.parametrize(
    ("spec", "changed", "expected"),
    [
        ({}, {"issuer": None, "access": None, "issuer_error": "no route"}, ("False", "DiscoveryFailed")),
        ({}, {"access_error": "forbidden"}, ("False", "RenderFailed")),
        ({}, {"access": None}, ("False", "RenderPending")),
        ({"configuration": {"mode": "None"}}, {"access": None}, ("True", "Ready")),
        ({"suspended": True}, {}, ("False", "Suspended")),
        ({}, {"in_force": InForce()}, ("False", "AdmissionUnreachable")),
        ({}, {"in_force": InForce(reachable=True)}, ("False", "Activating")),
        (ENFORCE, {"in_force": InForce(reachable=True)}, ("False", "Activating")),
        (ENFORCE, {"foreign": {"legacy": 2}}, ("False", "ForeignUsers")),
        ({"enforcement": {"mode": "Enforce", "force": True}}, {"foreign": {"legacy": 2}}, ("True", "Ready")),
        (ENFORCE, {}, ("True", "Ready")),
        ({}, {"shares_with": ["b"]}, ("True", "CutOffShared")),
    ],
)
def test_why_a_trust_is_ready_or_not(spec: dict[str, Any], changed: dict[str, Any], expected: Condition) -> None:
    assert said(of_trust(world([trust(**spec)], [binding()]), **changed)) == expected


def test_an_expired_trust_is_not_ready() -> None:
    expired = trust(governance={"expiresAt": NOW.isoformat()})
    assert said(of_trust(world([expired], [binding()]))) == ("False", "Expired")


def test_a_trust_says_when_it_expires_even_without_bindings() -> None:
    soon = NOW + timedelta(hours=1)
    expiring = trust(governance={"expiresAt": soon.isoformat()})
    assert of_trust(world([expiring], [binding()]))["nextChange"] == "2026-11-24T13:00:00Z"
    assert of_trust(world([expiring]))["nextChange"] == "2026-11-24T13:00:00Z"


def test_a_refused_trust_is_stalled() -> None:
    status = of_trust(world([trust(audience="*")]))
    assert said(status, "Accepted") == ("False", "RuleViolated")
    assert said(status) == ("False", "RuleViolated")
    assert said(status, "Stalled") == ("True", "Stalled")
    assert find(status["conditions"], "Ready")["message"].startswith("spec.audience: ")


@pytest.mark.parametrize(
    ("mode", "expected"), [("Audit", ("False", "Audit")), ("Warn", ("False", "Warn")), ("Enforce", ("True", "Enforce"))]
)
def test_enforcement(mode: str, expected: Condition) -> None:
    judged = world([trust(enforcement={"mode": mode})], [binding()])
    assert said(of_trust(judged), "Enforced") == expected
    assert said(of_binding(judged), "Enforced") == expected
    assert said(of_binding(judged)) == ("True", "Ready")


def test_a_binding_waits_for_its_grant() -> None:
    judged = world([trust(**ENFORCE)], [binding()])
    made = desired(judged, {})
    before = Desired(made.bound, made.allowed, made.protections, frozenset())
    status = of_binding(judged, InForce(selection=made, policies=before, reachable=True))
    assert said(status) == said(status, "Enforced") == ("False", "Activating")
    assert said(status, "Reconciling") == ("True", "Reconciling")
    assert not granted(judged.bindings[0], InForce(policies=before))
    assert granted(judged.bindings[0], InForce(policies=made))


def test_a_grant_that_is_too_short_is_none() -> None:
    judged = world([trust(**ENFORCE)], [binding()])
    shorter = desired(
        world([trust(**ENFORCE, ceilings={"assertionSeconds": 900})], [binding(token={"expirationSeconds": 600})]), {}
    )
    assert not granted(judged.bindings[0], InForce(policies=shorter))


def test_a_binding_in_a_spared_namespace_does_not_claim_to_be_enforced() -> None:
    """The policies let everything of a spared namespace pass, this binding's tokens after its end included."""
    judged = world([trust(**ENFORCE)], [binding()])
    made = desired(judged, {"aws-prod": {"payments": 1}})
    assert said(of_binding(judged, InForce(made, made, True)), "Enforced") == ("False", "ForeignUsers")


def test_a_binding_waits_for_its_selection() -> None:
    judged = world([trust()], [binding()])
    made = desired(judged, {})
    assert said(of_binding(judged, InForce(policies=made))) == ("False", "AdmissionUnreachable")
    assert said(of_binding(judged, InForce(policies=made, reachable=True))) == ("False", "Activating")


@pytest.mark.parametrize(
    ("declared", "expected", "stalled"),
    [
        (([], [binding()]), ("False", "TrustNotFound"), "False"),
        (([trust(audience="*")], [binding()]), ("False", "TrustNotAccepted"), "True"),
        (([trust(allow=[allow("orders")])], [binding()]), ("False", "RuleViolated"), "True"),
        (([trust()], [binding(suspended=True)]), ("False", "Suspended"), "False"),
        (([trust(suspended=True)], [binding()]), ("False", "Suspended"), "False"),
        (([trust()], [binding(validity={"notAfter": NOW.isoformat()})]), ("False", "Expired"), "False"),
        (
            ([trust()], [binding(validity={"notBefore": (NOW + timedelta(1)).isoformat()})]),
            ("False", "NotYet"),
            "False",
        ),
    ],
)
def test_why_a_binding_is_not_ready(declared: Any, expected: Condition, stalled: str) -> None:
    status = of_binding(world(*declared))
    assert said(status) == expected
    assert said(status, "Stalled")[0] == stalled
    assert status.get("phase") != "Live", "nothing that is refused or over is called live"


def test_a_trust_that_cannot_be_read_is_not_called_missing() -> None:
    unreadable = Unreadable(TRUST_KIND, raw_trust(), "spec.ceilings.assertionSeconds: Expected `int` <= 86400")
    other = Unreadable(BINDING_KIND, raw_binding("aws-prod"), "spec.target: name exactly one target")
    status = of_binding(resolve([], [binding()], CONTEXT, NOW, [unreadable, other]))
    assert said(status) == said(status, "Accepted") == ("False", "TrustNotAccepted")
    assert find(status["conditions"], "Ready")["message"] == (
        "FederationTrust aws-prod cannot be read by this version of Apostille: spec.ceilings.assertionSeconds: "
        "Expected `int` <= 86400; ask its owner to apply it again with that field corrected"
    )
    assert said(status, "Stalled")[0] == "True"
    assert said(of_binding(resolve([], [binding()], CONTEXT, NOW, [other]))) == ("False", "TrustNotFound")


def test_counts_and_advice() -> None:
    judged = world([trust()], [binding()])
    status = of_binding(judged, pods=PodCounts(matched=3, injected=1, stale=1, missing=1))
    assert said(status) == ("True", "PodsMissing")
    assert "1 of 3 pods have no identity and 1 an older one" in find(status["conditions"], "Ready")["message"]
    assert status["pods"] == {"matched": 3, "injected": 1, "stale": 1, "missing": 1}
    assert status["subjects"] == ["system:serviceaccount:payments:reader"]
    assert (status["audience"], status["target"]) == (AUDIENCE, "role/payments-reader")


def test_the_same_facts_write_the_same_status() -> None:
    """Written only when changed: an hour later nothing has moved."""
    first = of_trust(world([trust()], [binding()]))
    again = trust()
    again.raw_status.update(first)
    judged = resolve([again], [binding()], CONTEXT, NOW)
    assert of_trust(judged, NOW + timedelta(hours=1)) == first
