"""Objects at random, many of them refused, and a world to judge them in: what all who judge must agree upon."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

from admission.test_declared import ApiServer, declared
from apostille.admission.early import Early
from apostille.core.desired import desired
from apostille.core.guard import Guard
from apostille.core.judge import Context
from apostille.core.resolve import resolve
from apostille.core.settings import InjectionSettings
from apostille.kinds import decode
from apostille.model.identity import ServiceAccount
from apostille.parties.registry import catalogue
from builders import ISSUER, NOW, allow, raw_binding, raw_trust, role

OWN = "apostille-system"
ACCOUNTS = ("reader", "stranger", "default")
FREE = "https://nobody.example"
WHERE_POLICY = {rule.id for rule in catalogue() if "policy" in rule.enforced_in}
WHERE_WEBHOOK = {rule.id for rule in catalogue() if "webhook" in rule.enforced_in}
WHERE_LINT = {rule.id for rule in catalogue() if "lint" in rule.enforced_in}
Json = dict[str, Any]


def told(message: str) -> set[str]:
    return set(re.findall(r"\[([A-Z]{3}[0-9]{3})", message))


class World:
    """Two enforced trusts; ``reader`` is bound to one with 7200 seconds, to the other with 900, in two namespaces."""

    def __init__(self, spaces: Sequence[str], prefix: str) -> None:
        self.spaces = spaces
        self.audiences = [f"https://{prefix}-{i}.example" for i in range(2)]
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
        self.protections, self.grants = made.protections, made.grants
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
        spec: Json = {"containers": [{"name": "app", "image": "app"}]} | ({"volumes": volumes} if volumes else {})
        if account := chance.choice([*ACCOUNTS, "reader", None]):
            spec["serviceAccountName"] = account
        metadata = {"name": "generated", "namespace": chance.choice(self.spaces)}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

    def request(self, chance: random.Random) -> tuple[ServiceAccount, Json]:
        account = ServiceAccount(chance.choice(self.spaces), chance.choice([*ACCOUNTS, "reader"]))
        spec: Json = {
            "audiences": [self.audience(chance) for _ in range(chance.choice([1, 1, 1, 2]))],
            "expirationSeconds": chance.choice([600, 900, 901, 3600, 7200, 7201, 86400, 1 << 28]),
        }
        if chance.random() < 0.8:
            spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", "name": account.name}
        return account, spec


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
