"""Pods of what cannot be read: refused where the trust enforces, told elsewhere; never quietly without identity."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from admission.test_declared import ApiServer, Json, declared
from apostille.admission.mutate import Mutate
from apostille.core.settings import InjectionSettings
from builders import NOW, allow, pod, raw_binding, raw_trust, role

ENFORCE: Json = {"enforcement": {"mode": "Enforce"}}
# As an older version may have stored it.
LONG: Json = {"ceilings": {"assertionSeconds": "long"}}
OTHER: Json = {"token": {"expirationSeconds": "long"}}
OVER = (NOW - timedelta(days=3650)).isoformat()


class NotWaiting:
    async def for_grant(self, binding: object, deadline: float) -> None:
        return


async def created(*stored: Json) -> Json:
    mutate = Mutate(declared(ApiServer(*stored), *stored), NotWaiting(), InjectionSettings())  # type: ignore[arg-type]
    review = {"uid": "1", "namespace": "payments", "object": pod(), "kind": {"kind": "Pod"}}
    response: Json = (await mutate(review, time.monotonic() + 5))["response"]
    return response


@pytest.mark.parametrize(
    ("stored", "name", "field"),
    [
        ([raw_trust(**ENFORCE | LONG), raw_binding()], "FederationTrust aws-prod", "spec.ceilings.assertionSeconds"),
        (
            [raw_trust(**ENFORCE), raw_binding(**OTHER)],
            "WorkloadBinding payments/s3-reader",
            "spec.token.expirationSeconds",
        ),
        ([raw_trust(**ENFORCE | LONG), raw_binding(**OTHER)], "FederationTrust aws-prod", "spec.ceilings"),
        ([raw_trust(enforcement={"mode": "Strict"}), raw_binding()], "FederationTrust aws-prod", "spec.enforcement"),
        (
            [raw_trust(**ENFORCE), raw_binding("another", **OTHER), raw_binding()],
            "WorkloadBinding payments/another",
            "spec.token",
        ),
    ],
    ids=["trust", "binding", "both", "a mode that is not known", "one of two bindings"],
)
async def test_where_it_enforces_a_pod_is_refused_with_the_object_and_the_field(
    stored: list[Json], name: str, field: str
) -> None:
    response = await created(*stored)

    assert not response["allowed"]
    said = response["status"]["message"]
    assert said.startswith(f"{name} cannot be read by this version of Apostille ({field}")
    assert said.endswith("or set its spec.suspended")


@pytest.mark.parametrize("mode", ["Audit", "Warn"])
@pytest.mark.parametrize("unread", ["trust", "binding"])
async def test_elsewhere_the_pod_comes_and_its_owner_is_told(mode: str, unread: str) -> None:
    trust = raw_trust(enforcement={"mode": mode}, **(LONG if unread == "trust" else {}))
    response = await created(trust, raw_binding(**(OTHER if unread == "binding" else {})))

    assert response["allowed"]
    assert "patch" not in response
    (warning,) = response["warnings"]
    assert "cannot be read" in warning


@pytest.mark.parametrize(
    "stored",
    [
        [raw_trust(suspended=True, **ENFORCE | LONG), raw_binding()],
        [raw_trust(**ENFORCE | LONG), raw_binding(suspended=True)],
        [raw_trust(**ENFORCE | LONG), raw_binding(validity={"notAfter": OVER})],
        [raw_trust(**ENFORCE), raw_binding(suspended=True, **OTHER)],
        [raw_trust(suspended=True, **ENFORCE), raw_binding(**OTHER)],
        [raw_trust(**ENFORCE | {"allow": [allow("orders", targets=[role("x")])]}), raw_binding(**OTHER)],
        [raw_binding(**OTHER)],
        [raw_trust(**ENFORCE | LONG), raw_binding(subject={"serviceAccountNames": ["writer"]})],
        [raw_trust(**ENFORCE), raw_binding(subject={"serviceAccountNames": "reader"})],
    ],
    ids=[
        "suspended trust", "suspended binding", "binding that is over", "suspended and unread", "unread of a suspended",
        "not allowed", "no trust", "somebody else's", "nobody's",
    ],
)  # fmt: skip
async def test_who_would_have_no_identity_anyway_is_let_alone(stored: list[Json]) -> None:
    response = await created(*stored)

    assert response["allowed"]
    assert not {"patch", "warnings"} & response.keys()
