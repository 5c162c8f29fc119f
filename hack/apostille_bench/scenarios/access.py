"""What it costs to work out what a relying party must hold, over many bindings of one trust."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from apostille.core.access import access
from apostille.core.judge import Context
from apostille.core.resolve import ResolvedBinding, resolve
from apostille.kinds import decode
from apostille.kinds.federation_trust import FederationTrust
from apostille.model.identity import Issuer
from apostille_bench.runner import Batch, Variant

ISSUER = Issuer("https://oidc.example.com/cluster-a")
NAMESPACES, ROLES = 100, 64
_TIMES = 5


class Access:
    """One trust of AWS: a tenth of the bindings first, then all, then all and one more."""

    name = "access"
    question = "what does one more binding cost, on a trust that has a thousand?"

    @contextmanager
    def variants(self, say: Callable[[str], None]) -> Iterator[Sequence[Variant]]:
        """No process and no server: pure functions."""
        yield (
            Variant("100", "a trust with 100 bindings", lambda: _batch(100)),
            Variant("1,000", "a trust with 1,000 bindings", lambda: _batch(1000)),
            Variant("1,001", "the same and one more: what the controller renders anew", lambda: _batch(1001)),
        )


def _batch(count: int) -> Batch:
    trust, bindings = declared(count)
    taken = []
    for _ in range(_TIMES):
        # One thread computes: what the process used, whatever else the machine does.
        began = time.process_time()
        made = access(trust, bindings, ISSUER)
        taken.append((time.process_time() - began) * 1e3)
        assert sum(limit.used > 0 for limit in made.limits) == min(count, ROLES)
    return {"re-render CPU ms": taken, "CPU us a binding": [one * 1e3 / count for one in taken]}


def declared(count: int) -> tuple[FederationTrust, Sequence[ResolvedBinding]]:
    """A trust and so many live bindings of it, over several namespaces and roles."""
    roles = [f"arn:aws:iam::123456789012:role/role-{number}" for number in range(ROLES)]
    names = [f"app-{number}" for number in range(-(-count // NAMESPACES))]
    allow = [
        {"namespace": f"team-{number}", "serviceAccounts": names, "targets": roles} for number in range(NAMESPACES)
    ]
    trust = decode.federation_trust(_raw("FederationTrust", {"name": "aws-prod"}, {
        "relyingParty": {"type": "AWS", "aws": {"accountID": "123456789012", "region": "eu-west-1"}},
        "audience": "https://aws-prod.sts.example", "allow": allow,
    }))  # fmt: skip
    bindings = [
        decode.workload_binding(_raw(
            "WorkloadBinding", {"name": f"b{number // NAMESPACES}", "namespace": f"team-{number % NAMESPACES}"},
            {"trustRef": {"name": "aws-prod"}, "subject": {"serviceAccountNames": [f"app-{number // NAMESPACES}"]},
             "target": {"aws": {"roleARN": roles[number % ROLES]}}},
        ))
        for number in range(count)
    ]  # fmt: skip
    world = resolve([trust], bindings, Context(ISSUER, "apostille-system"), datetime.now(UTC))
    assert len(world.live) == count
    return trust, world.bindings


def _raw(kind: str, metadata: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "apostille.dev/v1alpha1", "kind": kind, "metadata": {"uid": "u", **metadata}, "spec": spec}
