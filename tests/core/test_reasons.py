"""Every reason of a condition: produced by something, where the table says, with a message that helps.

The conditions of all scenes are written down in ``golden/reasons.yaml``, where ``hack/generate`` takes from what the
pages of ``docs/reasons`` show. After an intended change: ``APOSTILLE_UPDATE_GOLDEN=1 hack/python -m pytest
tests/core/test_reasons.py``, then ``make generate``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from apostille.core.access import access
from apostille.core.desired import InForce, desired
from apostille.core.status import TrustFacts, binding_status, event, invalid_status, trust_status
from apostille.kinds.decode import Unreadable
from apostille.kinds.status import PodCounts, to_json
from apostille.model.conditions import EXPLAINED, Reason, find
from apostille.model.names import BINDING_KIND, TRUST_KIND
from builders import ISSUER, NOW, allow, binding, raw_binding, raw_trust, trust, world

Json = dict[str, Any]
SOON = (NOW + timedelta(hours=1)).isoformat()
OVER = (NOW - timedelta(hours=1)).isoformat()
ENFORCE: Json = {"enforcement": {"mode": "Enforce"}}
MANY = [f"service-account-{i:030}" for i in range(60)]


def of_trust(
    bindings: tuple[Any, ...] = (), foreign: Json | None = None, facts: Json | None = None, **spec: Any
) -> Json:
    """A trust's status with everything in force, unless ``facts``."""
    judged = world([trust(**spec)], bindings)
    resolved, mine = judged.trusts["aws-prod"], judged.of_trust("aws-prod")
    made = desired(judged, {"aws-prod": foreign or {}})
    known: Json = {
        "bindings": mine,
        "issuer": ISSUER,
        "issuer_error": "",
        "access": access(resolved.trust, mine, ISSUER) if resolved.accepted else None,
        "access_error": "",
        "foreign": foreign or {},
        "in_force": InForce(made, made, True),
    }
    return to_json(trust_status(resolved, TrustFacts(**known | (facts or {})), NOW))


def of_binding(
    by: Json | None = None, others: tuple[Any, ...] = (), foreign: Json | None = None, facts: Json | None = None,
    pods: PodCounts | None = None, **spec: Any,
) -> Json:  # fmt: skip
    """A binding's status with everything in force, unless ``facts``; ``by`` None is no trust."""
    judged = world([] if by is None else [trust(**by)], [binding(**spec), *others])
    made = desired(judged, {"aws-prod": foreign or {}})
    resolved = next(one for one in judged.bindings if one.binding.name == "s3-reader")
    in_force = InForce(**{"selection": made, "policies": made, "reachable": True} | (facts or {}))
    return to_json(binding_status(resolved, pods or PodCounts(), in_force, NOW))


NOT_DISCOVERED: Json = {"issuer": None, "issuer_error": "the API server says 403", "access": None}
NOT_TOLD: Json = {"in_force": InForce(reachable=True)}
SCENES: dict[str, Callable[[], Json]] = {
    "a trust as declared": of_trust,
    "a refused trust": lambda: of_trust(audience="*"),
    "an unreadable trust": lambda: to_json(
        invalid_status(Unreadable(TRUST_KIND, raw_trust(), "spec.audience: not text"), NOW)
    ),
    "a trust without an issuer": lambda: of_trust(facts=NOT_DISCOVERED),
    "a trust that somebody else configures": lambda: of_trust(configuration={"mode": "None"}),
    "a trust whose pinned service accounts are being listed": lambda: of_trust(facts={"access": None}),
    "a trust that IAM cannot hold": lambda: of_trust(
        (binding(subject={"serviceAccountNames": MANY}),), allow=[allow(accounts=MANY)]
    ),
    "a trust that warns": lambda: of_trust(enforcement={"mode": "Warn"}),
    "an enforced trust": lambda: of_trust(**ENFORCE),
    "a trust before its policies": lambda: of_trust(facts=NOT_TOLD, **ENFORCE),
    "a trust before its selection": lambda: of_trust(facts=NOT_TOLD),
    "a trust nobody can reach": lambda: of_trust(facts={"in_force": InForce()}),
    "a trust with foreign users": lambda: of_trust(foreign={"legacy": 2}, **ENFORCE),
    "a trust that shares its audience": lambda: of_trust(facts={"shares_with": ["b"]}),
    "a trust whose token requests are watched": lambda: of_trust(enforcement={"observeTokenRequests": True}),
    "a trust without room": lambda: of_trust(facts={"in_force": InForce(no_room="17 of 16")}),
    "a suspended trust": lambda: of_trust(suspended=True),
    "an expired trust": lambda: of_trust(governance={"expiresAt": OVER}),
    "a binding as declared": lambda: of_binding({}),
    "a refused binding": lambda: of_binding({}, target={"aws": {"roleARN": "arn:aws:iam::123456789012:role/admin"}}),
    "an unreadable binding": lambda: to_json(
        invalid_status(Unreadable(BINDING_KIND, raw_binding(), "spec.target: name exactly one target"), NOW)
    ),
    "a binding without a trust": of_binding,
    "a binding of a refused trust": lambda: of_binding({"audience": "*"}),
    "a binding of a trust that warns": lambda: of_binding({"enforcement": {"mode": "Warn"}}),
    "an enforced binding": lambda: of_binding(ENFORCE),
    "a binding before its grant": lambda: of_binding(ENFORCE, facts={"policies": desired(world([]), {})}),
    "a binding before its selection": lambda: of_binding({}, facts={"selection": desired(world([]), {})}),
    "a binding nobody can reach": lambda: of_binding(
        {}, facts={"selection": desired(world([]), {}), "reachable": False}
    ),
    "a binding without room": lambda: of_binding(
        ENFORCE, facts={"policies": desired(world([]), {}), "no_room": "17 of 16"}
    ),
    "a binding in a spared namespace": lambda: of_binding(ENFORCE, foreign={"payments": 1}),
    "a binding that is not alone": lambda: of_binding(ENFORCE, (binding("other"),)),
    "a suspended binding": lambda: of_binding({}, suspended=True),
    "a binding of a suspended trust": lambda: of_binding({"suspended": True}),
    "a binding that begins later": lambda: of_binding({}, validity={"notBefore": SOON}),
    "a binding that is over": lambda: of_binding({}, validity={"notAfter": OVER}),
    "a binding of an expired trust": lambda: of_binding({"governance": {"expiresAt": OVER}}),
    "a binding with pods that are older": lambda: of_binding({}, pods=PodCounts(3, 1, 1, 1)),
}
# Reason of Ready by scene, and whether it is True: what `kubectl get` answers.
ANSWERS = {
    "a trust as declared": (True, "Ready"),
    "a refused trust": (False, "RuleViolated"),
    "an unreadable trust": (False, "Invalid"),
    "a trust without an issuer": (False, "DiscoveryFailed"),
    "a trust that somebody else configures": (True, "Ready"),
    "a trust whose pinned service accounts are being listed": (False, "RenderPending"),
    "a trust that IAM cannot hold": (False, "RenderFailed"),
    "a trust that warns": (True, "Ready"),
    "an enforced trust": (True, "Ready"),
    "a trust before its policies": (False, "Activating"),
    "a trust before its selection": (False, "Activating"),
    "a trust nobody can reach": (False, "AdmissionUnreachable"),
    "a trust with foreign users": (False, "ForeignUsers"),
    "a trust that shares its audience": (True, "CutOffShared"),
    "a trust whose token requests are watched": (True, "Ready"),
    "a trust without room": (False, "ShardsExhausted"),
    "a suspended trust": (False, "Suspended"),
    "an expired trust": (False, "Expired"),
    "a binding as declared": (True, "Ready"),
    "a refused binding": (False, "RuleViolated"),
    "an unreadable binding": (False, "Invalid"),
    "a binding without a trust": (False, "TrustNotFound"),
    "a binding of a refused trust": (False, "TrustNotAccepted"),
    "a binding of a trust that warns": (True, "Ready"),
    "an enforced binding": (True, "Ready"),
    "a binding before its grant": (False, "Activating"),
    "a binding before its selection": (False, "Activating"),
    "a binding nobody can reach": (False, "AdmissionUnreachable"),
    "a binding without room": (False, "ShardsExhausted"),
    "a binding in a spared namespace": (False, "ForeignUsers"),
    "a binding that is not alone": (True, "CutOffShared"),
    "a suspended binding": (False, "Suspended"),
    "a binding of a suspended trust": (False, "Suspended"),
    "a binding that begins later": (False, "NotYet"),
    "a binding that is over": (False, "Expired"),
    "a binding of an expired trust": (False, "Expired"),
    "a binding with pods that are older": (True, "PodsMissing"),
}
WRITTEN = Path(__file__).parent / "golden" / "reasons.yaml"
STALLED = {"RuleViolated", "Invalid", "RenderFailed", "TrustNotAccepted", "ShardsExhausted"}
RECONCILING = {"Activating", "AdmissionUnreachable", "TrustNotFound", "DiscoveryFailed", "RenderPending"}


def seen(status: Json) -> Iterator[tuple[str, str, str]]:
    for condition in status["conditions"]:
        yield condition["reason"], condition["type"], condition["status"]


@pytest.mark.parametrize("scene", SCENES)
def test_is_it_working_and_if_not_why(scene: str) -> None:
    status = SCENES[scene]()
    ready = find(status["conditions"], "Ready")
    assert (ready["status"] == "True", ready["reason"]) == ANSWERS[scene]
    assert ready["message"]
    assert len({condition["type"] for condition in status["conditions"]}) == len(status["conditions"])
    # kstatus: these two decide before Ready does, and never both.
    assert (find(status["conditions"], "Stalled")["status"] == "True") is (ready["reason"] in STALLED)
    assert (find(status["conditions"], "Reconciling")["status"] == "True") is (ready["reason"] in RECONCILING)
    if ready["status"] == "True":
        for needed in ("Accepted", "IssuerReady", "Configured"):
            assert find(status["conditions"], needed).get("status", "True") == "True"


def test_every_reason_is_reachable_where_the_table_says_and_nowhere_else() -> None:
    said = {found for scene in SCENES.values() for found in seen(scene())}
    written = {(str(reason), *at) for reason, explained in EXPLAINED.items() for at in explained.at}
    assert said == written


def test_what_the_pages_show_is_what_the_scenes_give() -> None:
    given = {}
    for scene, made in SCENES.items():
        (word, *_) = re.findall("trust|binding", scene)
        kind = {"trust": TRUST_KIND, "binding": BINDING_KIND}[word]
        given[scene] = {"kind": kind, "conditions": made()["conditions"]}
    if os.environ.get("APOSTILLE_UPDATE_GOLDEN") == "1":
        WRITTEN.parent.mkdir(exist_ok=True)
        WRITTEN.write_text(yaml.safe_dump(given, sort_keys=False, width=120, allow_unicode=True))
    assert yaml.safe_load(WRITTEN.read_text()) == given


def test_every_reason_is_explained() -> None:
    assert set(EXPLAINED) == set(Reason)
    for explained in EXPLAINED.values():
        assert explained.meaning.endswith(".")
        assert explained.remedy.endswith(".")


def test_a_warning_links_to_its_page_however_long_it_is() -> None:
    kind, note = event({"status": "False", "reason": "RuleViolated", "message": "x" * 5000})
    assert (kind, len(note)) == ("Warning", 1024)
    assert note.endswith("x [https://apostille.dev/docs/reasons/RuleViolated]")
    assert event({"status": "True", "reason": "Ready", "message": "as declared"}) == ("Normal", "as declared")


def test_a_spared_trust_names_the_namespaces_and_their_pods() -> None:
    ready = find(of_trust(foreign={"batch": 1, "legacy": 2}, **ENFORCE)["conditions"], "Ready")
    assert "batch (1), legacy (2)" in ready["message"]


def test_a_forced_trust_does_not_claim_what_another_of_its_audience_spares() -> None:
    forced = trust(enforcement={"mode": "Enforce", "force": True})
    other = trust("b", enforcement={"mode": "Enforce"}, allow=[allow("orders")])
    judged = world([forced, other])
    made = desired(judged, {"aws-prod": {"legacy": 2}, "b": {"legacy": 2}})
    facts = TrustFacts([], ISSUER, "", access(forced, [], ISSUER), "", {"legacy": 2}, InForce(made, made, True))
    written = to_json(trust_status(judged.trusts["aws-prod"], facts, NOW))
    assert find(written["conditions"], "Enforced")["reason"] == "ForeignUsers"


def test_bindings_of_one_service_account_name_each_other() -> None:
    ready = find(SCENES["a binding that is not alone"]()["conditions"], "Ready")
    assert ready["message"].endswith("by other")
    apart = of_binding(ENFORCE | {"allow": [allow(accounts=["reader", "writer"])]}, (
        binding("other", subject={"serviceAccountNames": ["writer"]}), binding("ended", suspended=True),
    ))  # fmt: skip
    assert find(apart["conditions"], "Ready")["reason"] == "Ready"


def test_an_audited_mode_that_became_enforced_waits_for_the_policies() -> None:
    """The grants are in force already, under a policy that refuses nothing."""
    audited = desired(world([trust()], [binding()]), {})
    status = of_binding(ENFORCE, facts={"policies": audited})
    assert find(status["conditions"], "Enforced")["reason"] == "Activating"
