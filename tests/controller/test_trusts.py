"""A trust's status while what it needs is still being read: on its way, never stuck."""

from __future__ import annotations

import asyncio
from typing import Any

from api_double import ApiDouble
from apostille.controller.generated import Generated
from apostille.controller.instances import Instances
from apostille.controller.state import State
from apostille.controller.trusts import TrustReconciler
from apostille.controller.writer import StatusWriter
from apostille.core.desired import InForce
from apostille.kube.client import BINDINGS, SERVICE_ACCOUNTS, TRUSTS
from apostille.kube.recorder import Recorder
from apostille.model.names import BINDING_PLURAL, TRUST_PLURAL
from controller.declarations import ISSUER, OWN, binding, trust
from jumping_loop import in_no_time

VAULT = {
    "address": "https://vault.example:8200",
    "roles": [{"name": "reader", "policies": ["ro"]}],
    "pinInstances": True,
}
TARGET = {"vault": {"role": "reader"}}


def conditions(api: ApiDouble) -> dict[str, Any]:
    return {one["type"]: one for one in api.objects[TRUSTS.path("t")]["status"]["conditions"]}


@in_no_time
async def test_a_trust_that_pins_instances_waits_for_them_and_is_not_called_stuck() -> None:
    api, state, listed = ApiDouble(), State(OWN), asyncio.Event()
    # The double lists what lies under the path that is asked for, which is that of all namespaces.
    api.put(f"{SERVICE_ACCOUNTS.path()}/app", metadata={"namespace": "a", "uid": "uid-1"})
    relying = {"type": "Vault", "vault": VAULT}
    allow = [{"namespace": "a", "serviceAccounts": ["app"], "targets": ["reader"]}]
    state.put(TRUST_PLURAL, api.put(TRUSTS.path("t"), **trust(relyingParty=relying, allow=allow)))
    state.put(BINDING_PLURAL, api.put(BINDINGS.path("b", namespace="a"), **binding(target=TARGET)))
    state.set_issuer(ISSUER, "")
    state.set_in_force(InForce(state.desired(), state.desired(), reachable=True))
    client: Any = api
    generated = Generated(client, OWN, lambda kind, name: None)
    instances = Instances(client, lambda account: None, listed.set)
    reconciler = TrustReconciler(generated, state, StatusWriter(client, Recorder(client, "me")), instances)

    await reconciler.reconcile("t")
    first = conditions(api)
    reading = asyncio.create_task(instances.run())
    await listed.wait()
    await reconciler.reconcile("t")
    then = conditions(api)
    reading.cancel()

    assert (first["Ready"]["status"], first["Ready"]["reason"]) == ("False", "RenderPending")
    assert "service accounts" in first["Ready"]["message"]
    assert (first["Reconciling"]["status"], first["Stalled"]["status"]) == ("True", "False")
    assert (then["Ready"]["status"], then["Ready"]["reason"]) == ("True", "Ready")
    assert (then["Reconciling"]["status"], then["Stalled"]["status"]) == ("False", "False")
