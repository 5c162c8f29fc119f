"""What the handlers answer: refusals of declarations, early warnings of pods and workloads, notes on token requests."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from admission.test_declared import ApiServer, Json, copy_of, declared
from apostille.admission import observe
from apostille.admission.declared import Declared
from apostille.admission.early import Early
from apostille.admission.observe import Observe
from apostille.admission.validate import Validate
from apostille.core.observed import read
from apostille.core.settings import InjectionSettings
from apostille.core.tightening import tightening
from apostille.kube.client import ApiError
from apostille.model.identity import ServiceAccount
from apostille.model.names import OBSERVED, RULES_ANNOTATION
from builders import AUDIENCE, allow, pod, raw_binding, raw_trust
from jumping_loop import in_no_time


class Server(ApiServer):
    """Knows service accounts by their paths, and takes patches."""

    def __init__(self, *stored: Json, accounts: tuple[str, ...] = ("reader", "writer")) -> None:
        super().__init__(*stored)
        self.accounts, self.patches, self.broken = accounts, [], False  # type: ignore[var-annotated]

    async def get(self, path: str, parameters: Any = None) -> Json:
        head, _, name = path.rpartition("/")
        if head.endswith("/serviceaccounts"):
            if name in self.accounts:
                return {}
            raise ApiError(404, "NotFound", path)
        return await super().get(path, parameters)

    async def merge(self, path: str, body: Json) -> Json:
        if self.broken:
            raise ApiError(0, "", "connection refused")
        self.patches.append((path, body))
        return {}


class NotWaiting:
    async def for_trust(self, trust: Any, deadline: float) -> None:
        return


async def judged(of: Declared, raw: Json, **request: Any) -> Json:
    review = {"uid": "1", "object": raw, "kind": {"kind": raw["kind"]}} | request
    answer = await Validate(of, NotWaiting())(review, time.monotonic() + 5)  # type: ignore[arg-type]
    return dict(answer["response"])


async def test_a_service_account_that_does_not_exist_is_told() -> None:
    there = declared(Server(raw_trust()), raw_trust())
    gone = declared(Server(raw_trust(), accounts=()), raw_trust())

    assert (await judged(there, raw_binding())).get("warnings") is None
    response = await judged(gone, raw_binding())
    assert response["allowed"]
    assert response["warnings"] == [
        "spec.subject.serviceAccountNames[0]: there is no service account reader in namespace payments [APO204]. "
        "Create it, or correct the name"
    ]


async def test_a_trust_that_cannot_be_read_is_told_as_such_and_not_as_missing() -> None:
    long = raw_trust(ceilings={"assertionSeconds": 90_000})

    response = await judged(declared(Server(long), long), raw_binding())

    assert response["allowed"]
    (warning,) = response["warnings"]
    where = "spec.trustRef.name: FederationTrust aws-prod cannot be read by this version of Apostille"
    assert warning.startswith(f"{where} (spec.ceilings.assertionSeconds")


async def test_two_bindings_that_want_one_variable_are_refused_before_any_pod_is() -> None:
    server = Server(raw_trust(), raw_binding("first"))

    response = await judged(declared(server, raw_trust()), raw_binding("second"))

    assert not response["allowed"]
    assert (
        "WorkloadBinding first gives reader AWS_ROLE_SESSION_NAME, AWS_WEB_IDENTITY_TOKEN_FILE too"
        in (response["status"]["message"])
    )
    assert (await judged(declared(server, raw_trust()), raw_binding("first"))) == {"uid": "1", "allowed": True}
    other = raw_binding("second", subject={"serviceAccountNames": ["writer"]})
    both = raw_trust(allow=[allow(accounts=["reader", "writer"])])
    assert (await judged(declared(Server(both, raw_binding("first")), both), other))["allowed"]


@pytest.mark.parametrize(
    ("said", "allowed", "warned"),
    [
        ("", True, ["APO302"]),
        ("APO302=deny", False, []),
        ("APO302=deny,APO107=deny", False, []),
        ("APO302=off", True, ["APO302", "a namespace may only tighten, with APO302=deny"]),
        ("APO999=deny", True, ["APO302", "there is no rule 'APO999'"]),
        ("APO302", True, ["APO302", "write ID=MODE with one of off, warn, deny"]),
    ],
)
async def test_a_namespace_may_only_tighten(said: str, allowed: bool, warned: list[str]) -> None:
    wide = raw_trust(ceilings={"assertionSeconds": 7200})
    of = declared(Server(wide), wide)
    namespace = {"metadata": {"name": "payments", "annotations": {RULES_ANNOTATION: said}}}
    of.namespaces._set(("", "payments"), tightening(namespace))

    response = await judged(of, raw_binding(token={"expirationSeconds": 7200}))

    assert response["allowed"] is allowed
    warnings = response.get("warnings") or []
    assert len(warnings) == len(warned)
    assert all(any(part in text for text in warnings) for part in warned)
    # It says nothing about another namespace.
    elsewhere = raw_trust(ceilings={"assertionSeconds": 7200}, allow=[allow("orders")])
    copy_of(of, elsewhere)
    of._client.stored[0] = elsewhere  # type: ignore[attr-defined]
    assert (await judged(of, raw_binding(namespace="orders", token={"expirationSeconds": 7200})))["allowed"]


def token(audience: str = AUDIENCE, seconds: int = 3600) -> Json:
    return {"serviceAccountToken": {"path": "token", "audience": audience, "expirationSeconds": seconds}}


def volume(*sources: Json, name: str = "mine") -> Json:
    return {"name": name, "projected": {"sources": list(sources)}}


async def told(of: Declared, kind: str, raw: Json, sub: str = "") -> list[str]:
    review = {"uid": "1", "namespace": "payments", "kind": {"kind": kind}, "object": raw, "subResource": sub}
    answer = await Early(of, InjectionSettings())(review, time.monotonic() + 5)
    assert answer["response"]["allowed"]
    return list(answer["response"].get("warnings", ()))


def template(spec: Json) -> Json:
    return {"spec": {"template": {"metadata": {}, "spec": spec}}}


ENFORCE: Json = {"enforcement": {"mode": "Enforce"}}


async def test_a_hand_made_volume_in_a_template_is_explained_at_its_place() -> None:
    of = declared(Server(), raw_trust(**ENFORCE))
    spec = pod(volumes=[{"name": "work", "emptyDir": {}}, volume(token(), token("https://else.example"))])["spec"]

    warnings = await told(of, "Deployment", template(spec))

    assert [warning.partition(": ")[0] for warning in warnings] == ["spec.template.spec.volumes[1]"] * 2
    assert [warning.partition(" [")[2][:6] for warning in warnings] == ["APO104", "APO501"]
    job = {"spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}}
    assert (await told(of, "CronJob", job))[0].startswith("spec.jobTemplate.spec.template.spec.volumes[1]: ")
    free = pod(volumes=[volume(token("https://else.example"))])["spec"]
    assert await told(of, "Deployment", template(free)) == []


async def test_under_audit_nobody_is_told_and_of_pods_the_policies_tell() -> None:
    raw = pod(volumes=[volume(token())])
    assert await told(declared(Server(), raw_trust()), "Deployment", template(raw["spec"])) == []
    assert await told(declared(Server(), raw_trust(**ENFORCE)), "Pod", raw) == []


async def test_of_a_granted_volume_only_what_is_wrong_is_told() -> None:
    binding = raw_binding()
    wide = raw_trust(ceilings={"assertionSeconds": 7200}, **ENFORCE)
    of = declared(Server(wide, binding), wide, binding)

    def having(seconds: int) -> Json:
        return template(pod(volumes=[volume(token(seconds=seconds))])["spec"])

    assert await told(of, "StatefulSet", having(3600)) == []
    (extended,) = await told(of, "StatefulSet", having(3607))
    assert "[APO303]" in extended
    (long,) = await told(of, "StatefulSet", having(7201))
    assert "[APO503]" in long


async def test_a_token_of_default_is_told() -> None:
    of = declared(Server(), raw_trust(**ENFORCE))
    raw = pod(volumes=[volume(token())])
    del raw["spec"]["serviceAccountName"]
    assert ["[APO202]" in text for text in await told(of, "Pod", raw)] == [True]
    assert ["[APO202]" in text for text in await told(of, "Job", template(raw["spec"]))] == [True, False]


async def test_a_spared_namespace_is_not_told() -> None:
    status = {"status": {"foreignUsers": [{"namespace": "payments", "pods": 1}]}}
    spared = raw_trust(**ENFORCE) | status
    forced = raw_trust(enforcement={"mode": "Enforce", "force": True}) | status
    raw = template(pod(volumes=[volume(token())])["spec"])
    assert await told(declared(Server(), spared), "DaemonSet", raw) == []
    assert len(await told(declared(Server(), forced), "DaemonSet", raw)) == 1


async def test_a_template_of_a_bound_account_is_told_what_its_pods_will_be() -> None:
    binding = raw_binding()
    of = declared(Server(raw_trust(), binding), raw_trust(), binding)
    static = {"name": "app", "image": "app", "env": [{"name": "AWS_ACCESS_KEY_ID", "value": "AKIA"}]}
    taken = {"name": "apostille-exchange", "image": "app"}

    (warning,) = await told(of, "Deployment", template({"serviceAccountName": "reader", "containers": [static]}))
    refused = await told(of, "Deployment", template({"serviceAccountName": "reader", "containers": [taken]}))

    assert warning.startswith("in pods of this template, spec.containers[0].env[0]: container app sets AWS_ACCESS_KEY")
    assert refused[0].startswith("spec.template.spec: pods of this template will be refused: spec.containers[0].name")
    plain = {"serviceAccountName": "reader", "containers": [{"name": "app", "image": "app"}]}
    assert await told(of, "Deployment", template(plain)) == []


async def test_a_debug_container_that_mounts_an_identity_is_told() -> None:
    mounts = [{"name": "work", "mountPath": "/w"}, {"name": "apostille-token-s3", "mountPath": "/t"}]
    raw = pod(ephemeralContainers=[{"name": "shell", "image": "sh", "volumeMounts": mounts}])

    (warning,) = await told(declared(Server()), "Pod", raw, "ephemeralcontainers")

    assert warning.startswith("spec.ephemeralContainers[0].volumeMounts[1]: shell mounts apostille-token-s3 [APO504]")


def request_for(*audiences: str, name: str = "reader", dry_run: bool = False) -> Json:
    return {
        "uid": "1", "namespace": "payments", "name": name, "dryRun": dry_run,
        "userInfo": {"username": "system:serviceaccount:eso:external-secrets"},
        "object": {"spec": {"audiences": list(audiences)}},
    }  # fmt: skip


@in_no_time
async def test_who_asks_for_tokens_is_noted_once_and_in_batches() -> None:
    server = Server()
    observing = raw_trust(enforcement={"observeTokenRequests": True})
    silent = raw_trust("silent", audience="https://silent.example")
    of = declared(server, observing, silent)
    notes = Observe(server, of)  # type: ignore[arg-type]
    running = asyncio.create_task(notes.run())
    server.broken = True
    for review in (
        request_for(AUDIENCE), request_for(AUDIENCE), request_for("https://silent.example"), request_for("x"),
        request_for(AUDIENCE, name="dry", dry_run=True),
    ):  # fmt: skip
        assert (await notes(review, 0.0))["response"] == {"uid": "1", "allowed": True}
    await asyncio.sleep(observe.WRITE_SECONDS * 1.5)
    server.broken = False
    await asyncio.sleep(observe.WRITE_SECONDS * 2)
    await notes(request_for(AUDIENCE), 0.0)
    await asyncio.sleep(observe.WRITE_SECONDS * 2)
    running.cancel()

    ((path, body),) = server.patches
    assert path == f"/api/v1/namespaces/apostille-system/configmaps/{OBSERVED}"
    (noted,) = read(body["data"])
    assert (noted.account, noted.audience) == (ServiceAccount("payments", "reader"), AUDIENCE)
    assert noted.user == "system:serviceaccount:eso:external-secrets"
    assert json.loads(noted.written())["seen"] == noted.seen.strftime("%Y-%m-%d")
