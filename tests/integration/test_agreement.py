"""One catalogue, told three times: policies in the API server, webhook, and lint as it is typed agree.

Objects are generated, judged by a real API server in dry runs, by the functions, and by one run of `apostille lint`
over a folder that holds all of them. `make soak` judges 10,000 of each kind.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import os
import random
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from admission.test_declared import ApiServer, declared
from admission.test_handlers import NotWaiting
from apostille.admission.early import Early
from apostille.admission.validate import Validate
from apostille.cli.main import main
from apostille.core.desired import desired
from apostille.core.guard import Guard
from apostille.core.judge import Context, judge_binding, judge_trust
from apostille.core.resolve import resolve
from apostille.core.settings import InjectionSettings
from apostille.kinds import decode
from apostille.model.finding import refusals
from apostille.model.identity import Issuer, ServiceAccount
from apostille.parties.registry import catalogue
from builders import NOW, allow, raw_binding, raw_trust, role
from integration.cluster import Cluster
from integration.plain_client import Answer, PlainClient, connected, pod
from integration.policy_scene import OWN, SETTINGS, PolicyScene, policy_scene

pytestmark = pytest.mark.integration
NUMBER = 10_000 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 300
Json = dict[str, Any]
ACCOUNTS = ("reader", "stranger", "default")
FREE = "https://nobody.example"
ISSUER = Issuer("https://oidc.example.com/cluster-a")
WHERE_POLICY = {rule.id for rule in catalogue() if "policy" in rule.enforced_in}
WHERE_LINT = {rule.id for rule in catalogue() if "lint" in rule.enforced_in}
WHERE_WEBHOOK = {rule.id for rule in catalogue() if "webhook" in rule.enforced_in}


class World:
    """Two enforced trusts; ``reader`` is bound to one with 7200 seconds, to the other with 900, in two namespaces."""

    def __init__(self, scene: PolicyScene) -> None:
        self.spaces = [scene.namespace("one"), scene.namespace("two"), scene.namespace("three")]
        self.audiences = [f"https://{scene.prefix}-{i}.example" for i in range(2)]
        self.trusts = [
            raw_trust(
                f"t{i}", audience=audience, enforcement={"mode": "Enforce"},
                ceilings={"assertionSeconds": ceiling}, allow=[allow(space) for space in self.spaces[:2]],
            )
            for i, (audience, ceiling) in enumerate(zip(self.audiences, (7200, 900), strict=True))
        ]  # fmt: skip
        self.bindings = [
            raw_binding("b0", self.spaces[0], trustRef={"name": "t0"}),
            raw_binding("b1", self.spaces[1], trustRef={"name": "t1"}, token={"expirationSeconds": 900}),
        ]
        world = resolve(
            map(decode.federation_trust, self.trusts),
            map(decode.workload_binding, self.bindings),
            Context(ISSUER, OWN),
            NOW,
        )
        made = desired(world, {})
        assert len(made.grants) == 2
        scene.write(made.protections, made.grants)
        self.guard = Guard.of(made.protections, made.grants, OWN)

    def early(self) -> Early:
        """The webhook, with the same trusts and bindings in its copies."""
        every = [*self.trusts, *self.bindings]
        return Early(declared(ApiServer(*every), *every), InjectionSettings())

    def audience(self, chance: random.Random) -> str:
        return chance.choice([*self.audiences, *self.audiences, FREE, "https://other.example", self.audiences[0] + "/"])

    def source(self, chance: random.Random) -> Json:
        if chance.random() < 0.2:
            return {"configMap": {"name": "c"}}
        token: Json = {"path": f"t{chance.randrange(1 << 30)}"}
        if chance.random() < 0.9:
            token["audience"] = self.audience(chance)
        if chance.random() < 0.7:
            token["expirationSeconds"] = chance.choice([600, 899, 900, 901, 3600, 7200, 7201, 86400])
        return {"serviceAccountToken": token}

    def pod(self, chance: random.Random) -> Json:
        volumes = [
            {"name": f"v{i}", "projected": {"sources": [self.source(chance) for _ in range(chance.choice([1, 1, 2]))]}}
            for i in range(chance.randrange(3))
        ]
        if chance.random() < 0.3:
            volumes.append({"name": "work", "emptyDir": {}})
        account = chance.choice([*ACCOUNTS, "reader", None])
        made = pod(chance.choice(self.spaces), "generated", account, **({"volumes": volumes} if volumes else {}))
        if account and chance.random() < 0.2:  # the same by its deprecated name
            made["spec"]["serviceAccount"] = made["spec"].pop("serviceAccountName")
        return made

    def request(self, chance: random.Random) -> tuple[ServiceAccount, Json]:
        account = ServiceAccount(chance.choice(self.spaces), chance.choice([*ACCOUNTS, "reader"]))
        spec: Json = {
            "audiences": [self.audience(chance) for _ in range(chance.choice([1, 1, 1, 2]))],
            "expirationSeconds": chance.choice([600, 900, 901, 3600, 7200, 7201, 86400, 1 << 28]),
        }
        if chance.random() < 0.8:
            spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", "name": account.name}
        return account, spec


@pytest.fixture(scope="module")
def api(control_plane: Any) -> Iterator[PlainClient]:
    with connected(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture(scope="module")
def world(api: PlainClient) -> Iterator[World]:
    with policy_scene(api) as scene:
        yield World(scene)


def told(message: str) -> set[str]:
    return set(re.findall(r"\[([A-Z]{3}[0-9]{3})", message))


def agree(said: set[str], by_core: set[str], about: object) -> None:
    """A policy says the first of what it has to say."""
    assert bool(said) == bool(by_core), (said, by_core, about)
    assert said <= by_core, (said, by_core, about)


def linted(folder: Path, declared: Sequence[Json], objects: Sequence[Json], issuer: str) -> list[set[str]]:
    """What one run of `apostille lint` says of each object, in a file of its own beside what is declared.

    Of rules that are judged over several objects at once nothing: here each of these is a world of its own.
    """
    for i, raw in enumerate(declared):
        (folder / f"declared-{i}.yaml").write_text(json.dumps(raw))
    for i, raw in enumerate(objects):
        (folder / f"{i}.yaml").write_text(json.dumps(raw))
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
        main(["lint", str(folder), "-o", "json", "--fail-on", "never", "--issuer", issuer])
    made = json.loads(out.getvalue())
    assert (ended.value.code, made["problems"]) == (0, [])
    assert made["objects"] == len(declared) + len(objects)
    found: list[set[str]] = [set() for _ in objects]
    for one in made["findings"]:
        name = Path(one["file"]).stem
        if name.isdecimal() and one["rule"] not in OVER_SEVERAL:
            found[int(name)].add(one["rule"])
    return found


# Two trusts with one audience, two bindings for one variable.
OVER_SEVERAL = {"APO106", "APO402"}


def test_token_requests(api: PlainClient, world: World) -> None:
    chance, seen = random.Random(1), set()  # noqa: S311
    for _ in range(NUMBER):
        account, spec = world.request(chance)
        path = f"/api/v1/namespaces/{account.namespace}/serviceaccounts/{account.name}/token?dryRun=All"
        answer = api.request("POST", path, {"spec": spec})
        assert answer.code in (201, 403), answer.message
        by_core = {finding.rule.id for finding in world.guard.token(account, spec)}
        agree(told(answer.message), by_core, (account, spec))
        seen |= by_core
    assert seen == {"APO104", "APO501", "APO502", "APO503"} <= WHERE_POLICY, "every rule had its cases"


async def _early(early: Early, raw: Json) -> set[str]:
    """Of a template: what the webhook says of the pods that will come of it."""
    request = {
        "uid": "1", "namespace": raw["metadata"]["namespace"], "kind": {"kind": "Deployment"},
        "object": {"spec": {"template": {"metadata": {}, "spec": raw["spec"]}}},
    }  # fmt: skip
    answer = await early(request, time.monotonic() + 5)
    return {rule for warning in answer["response"].get("warnings", ()) for rule in told(warning)}


async def test_pods(api: PlainClient, world: World, tmp_path: Path) -> None:
    chance, seen, early = random.Random(2), set(), world.early()  # noqa: S311
    judged: list[tuple[Json, set[str]]] = []
    for _ in range(NUMBER):
        raw = world.pod(chance)
        answer = api.create(raw, dry_run=True)
        assert answer.code in (201, 403), answer.message
        # As the API server hands it to whoever judges: the deprecated name filled in.
        as_read = copy.deepcopy(raw)
        if name := as_read["spec"].pop("serviceAccount", None):
            as_read["spec"]["serviceAccountName"] = name
        by_core = {finding.rule.id for finding in world.guard.pod(raw["metadata"]["namespace"], as_read["spec"])}
        agree(told(answer.message), by_core, raw)
        seen |= by_core
        by_webhook = await _early(early, as_read)
        assert by_webhook & WHERE_POLICY == by_core, raw
        assert by_webhook <= WHERE_WEBHOOK
        judged.append((raw, by_core))
    by_lint = linted(tmp_path, [*world.trusts, *world.bindings], [raw for raw, _ in judged], ISSUER.url)
    for (raw, by_core), said in zip(judged, by_lint, strict=True):
        assert said & WHERE_POLICY == by_core & WHERE_LINT == by_core, raw
    assert seen == {"APO104", "APO501", "APO503"}


AUDIENCES = (
    "", " ", "*", "https://*.example", "a b", "x" * 256, "kubernetes", "https://kubernetes.default.svc",
    "HTTPS://KUBERNETES.DEFAULT.SVC/", "api://x", "vault", "sts.amazonaws.com", "//iam.googleapis.com/projects/1",
    "https://{}.example", "https://{}.example", "https://{}.example/a",
)  # fmt: skip
NAMES = ("reader", "writer", "default", "*", "read*")
NAMESPACES = ("payments", "kube-system", "apostille-system", "pay*", "kube-public")
TARGETS = (
    role("reader"), role("writer"), role("x", "999999999999"), "arn:aws:iam::123456789012:user/x",
    role("r", partition="aws-cn"),
)  # fmt: skip


def generated_trust(chance: random.Random, number: int) -> Json:
    unique = f"agree-{number}-{chance.randrange(1 << 30)}"
    entries = [
        allow(
            chance.choice([*NAMESPACES, "payments", "payments"]),
            chance.sample([*NAMES, "a1", "a2", "a3"], 2),
            [chance.choice([*TARGETS, role("reader"), role("reader")])],
        )
        for _ in range(chance.randrange(3))
    ]
    return raw_trust(
        unique, audience=chance.choice(AUDIENCES).format(unique), allow=entries,
        ceilings={"assertionSeconds": chance.choice([600, 3600, 3607, 7200]),
                  "sessionSeconds": chance.choice([900, 3600, 43200])},
        enforcement={"mode": chance.choice(["Audit", "Enforce"])},
    )  # fmt: skip


def generated_binding(chance: random.Random, number: int) -> Json:
    return raw_binding(
        f"b-{number}", chance.choice(["payments", "payments", "payments", "orders", "kube-system"]),
        trustRef={"name": "aws-prod"},
        subject={"serviceAccountNames": chance.sample([*NAMES, "reader-2"], chance.choice([1, 1, 2]))},
        target={"aws": {"roleARN": chance.choice([*TARGETS, role("payments-reader"), role("payments-reader")])}},
        token={"expirationSeconds": chance.choice([600, 3600, 3601, 3607, 7200])},
        delivery={"mode": chance.choice(["Auto", "SDK", "Sidecar"])},
    )  # fmt: skip


def created(kubeconfig: str | Path, objects: Sequence[Json], connections: int = 4) -> list[Answer]:
    """The answers to dry runs, over several connections at once."""

    def create(share: Sequence[Json]) -> list[Answer]:
        with connected(kubeconfig) as api:
            return [api.create(raw, dry_run=True) for raw in share]

    answers: list[Any] = [None] * len(objects)
    with ThreadPoolExecutor(connections) as pool:
        for i, share in enumerate(pool.map(create, [objects[i::connections] for i in range(connections)])):
            answers[i::connections] = share
    return answers


def test_nothing_that_the_core_refuses_passes_the_webhook(cluster: Cluster, tmp_path: Path) -> None:
    """The real one, through the API server: schema and CEL may refuse more, the core nothing that they let pass."""
    chance = random.Random(3)  # noqa: S311
    plane = cluster.installation.control_plane
    context = Context(Issuer(plane.issuer), "apostille-system")
    refused_by_core, passed = set(), 0
    trusts = [generated_trust(chance, number) for number in range(NUMBER)]
    by_lint = linted(tmp_path, (), trusts, plane.issuer)
    for raw, answer, said in zip(trusts, created(plane.kubeconfig, trusts), by_lint, strict=True):
        try:
            found = judge_trust(decode.federation_trust(raw), (), context)
        except decode.InvalidObject:
            assert not answer.ok, raw
            assert said == {"LNT201"}, raw
            continue
        assert said == {finding.rule.id for finding in found} - OVER_SEVERAL, raw
        assert said <= WHERE_LINT
        refused = {finding.rule.id for finding in refusals(found)}
        refused_by_core |= refused
        if answer.ok:
            assert not refused, (refused, raw)
            assert told(" ".join(answer.warnings)) == {finding.rule.id for finding in found}, raw
            passed += 1
        elif answer.code == 403:
            assert told(answer.message) <= refused, (answer.message, raw)
            assert refused, answer.message
        else:
            assert answer.code == 422, answer.message
    assert passed > NUMBER // 60
    assert {"APO102", "APO105", "APO202", "APO203", "APO303", "AWS102"} <= refused_by_core


async def test_webhook_and_core_agree_on_bindings(tmp_path: Path) -> None:
    """In process: the handler that answers, with an API server that holds one trust."""
    chance, seen, passed = random.Random(4), set(), 0  # noqa: S311
    by = raw_trust(allow=[allow("payments", ["reader", "writer", "default"])], ceilings={"assertionSeconds": 7200})
    server = _Accounts(by)
    handler = Validate(declared(server, by), NotWaiting())  # type: ignore[arg-type]
    bindings = [generated_binding(chance, number) for number in range(NUMBER)]
    by_lint = linted(tmp_path, [by], bindings, ISSUER.url)
    for raw, said in zip(bindings, by_lint, strict=True):
        request = {"uid": "1", "object": raw, "kind": {"kind": raw["kind"]}}
        response = (await handler(request, time.monotonic() + 5))["response"]
        context = handler._declared.context
        found = judge_binding(decode.workload_binding(raw), decode.federation_trust(by), context)
        refused = {finding.rule.id for finding in refusals(found)}
        seen |= {finding.rule.id for finding in found}
        assert said == {finding.rule.id for finding in found} & WHERE_LINT, raw
        assert response["allowed"] is not bool(refused), raw
        if refused:
            assert told(response["status"]["message"]) <= refused
        else:
            assert told(" ".join(response.get("warnings", ()))) == {finding.rule.id for finding in found}
            passed += 1
    assert passed > NUMBER // 60
    assert {"APO201", "APO202", "APO203", "APO302", "APO303", "APO401", "AWS101", "AWS102"} <= seen <= WHERE_WEBHOOK


class _Accounts(ApiServer):
    async def get(self, path: str, parameters: Any = None) -> Json:
        return {} if "/serviceaccounts/" in path else await super().get(path, parameters)


def test_what_must_be_enforced_at_admission_is() -> None:
    wanted = {"X-AUD-EMPTY", "X-AUD-APISERVER", "X-AUD-WILDCARD", "X-AUD-MULTI", "X-AUD-FOREIGN", "X-SUB-WILDCARD",
              "X-SUB-DEFAULT", "X-SUB-SYSTEM-NS", "X-SUB-MISSING", "X-CONFUSED-TARGET"}  # fmt: skip
    assert wanted <= {rule.slug for rule in catalogue() if {"webhook", "policy"} & set(rule.enforced_in)}
    assert SETTINGS.own_namespace == OWN
