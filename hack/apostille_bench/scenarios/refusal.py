"""How soon the API server refuses tokens once a binding is deleted, through one API server and through a second.

The pods of the scenario ``cutoff`` are not here: no node, so that hundreds of deletions can be measured. The baseline
is the floor of the platform: the same policy, changed by hand. A second API server on the same etcd learns of it by a
watch of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from apostille_bench import floor
from apostille_bench.runner import Batch, Variant
from apostille_bench.tokens import granted
from apostille_bench.waiting import until
from apostille_testbed import ControlPlane, Installation, control_plane
from apostille_testbed.client import Client

NAMESPACE, AUDIENCE = "refusals", "https://refusals.example"
ACCOUNTS = 10
_KINDS = "/apis/apostille.dev/v1alpha1"
_until = partial(until, within=120.0, pause=0.01)
_ROLE = "arn:aws:iam::123456789012:role/reader"


class Refusal:
    """A batch ends the tokens of ten service accounts, one after the other."""

    name = "refusal"
    question = "how soon after its binding is deleted is a token request refused, by one API server and by a second?"

    @contextmanager
    def variants(self, say: Callable[[str], None]) -> Iterator[Sequence[Variant]]:
        """The floor is the baseline."""
        with control_plane(say=say) as plane, Installation(plane), ThreadPoolExecutor(2) as pool:
            bench = _Bench(plane, plane.second_apiserver(), pool)
            bench.declare()
            yield (
                Variant("floor", "a policy, changed by hand", bench.by_hand),
                Variant("apostille", "kubectl delete wbind", bench.delete),
            )


class _Bench:
    def __init__(self, plane: ControlPlane, second: Client, pool: ThreadPoolExecutor) -> None:
        self._first, self._second, self._pool = plane.client, second, pool
        plane.create_namespace(NAMESPACE)

    def declare(self) -> None:
        """A trust that is enforced, service accounts with a pod each, and the policy of the floor."""
        base = f"/api/v1/namespaces/{NAMESPACE}"
        for account in _accounts():
            self._first.ensure(f"{base}/serviceaccounts", {"metadata": {"name": account}})
            spec = {"serviceAccountName": account, "containers": [{"name": "app", "image": "app"}]}
            self._first.ensure(f"{base}/pods", {"metadata": {"name": account}, "spec": spec})
        allow = {"namespace": NAMESPACE, "serviceAccounts": _accounts(), "targets": [_ROLE]}
        self._create(
            f"{_KINDS}/federationtrusts",
            "FederationTrust",
            NAMESPACE,
            {
                "relyingParty": {"type": "AWS", "aws": {"accountID": "123456789012", "region": "eu-west-1"}},
                "audience": AUDIENCE,
                "enforcement": {"mode": "Enforce"},
                "allow": [allow],
            },
        )
        floor.declare(self._first)

    def by_hand(self) -> Batch:
        """The policy refuses, and grants again."""
        account, times = _accounts()[0], []
        for _ in range(ACCOUNTS):
            times.append(self._timed(account, floor.AUDIENCE, lambda: floor.refuse(self._first, True)))
            floor.refuse(self._first, False)
            self._granted(account, floor.AUDIENCE)
        return _batch(times)

    def delete(self) -> Batch:
        """Bindings, which were declared and in force."""
        base = f"{_KINDS}/namespaces/{NAMESPACE}/workloadbindings"
        for account in _accounts():
            spec = {
                "trustRef": {"name": NAMESPACE},
                "subject": {"serviceAccountNames": [account]},
                "target": {"aws": {"roleARN": _ROLE}},
            }
            self._create(base, "WorkloadBinding", account, spec)
        for account in _accounts():
            self._granted(account, AUDIENCE)

        def forget(account: str) -> object:
            return self._first.request("DELETE", f"{base}/{account}")

        return _batch([self._timed(account, AUDIENCE, partial(forget, account)) for account in _accounts()])

    def _create(self, path: str, kind: str, name: str, spec: dict[str, Any]) -> None:
        body = {"apiVersion": "apostille.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        self._first.ensure(path, body)

    def _timed(self, account: str, audience: str, change: Callable[[], object]) -> tuple[float, float]:
        """Seconds from the moment when the change is sent until each API server refuses."""
        began = time.monotonic()
        ends = [self._pool.submit(_refused, one, account, audience) for one in (self._first, self._second)]
        change()
        return ends[0].result() - began, ends[1].result() - began

    def _granted(self, account: str, audience: str) -> None:
        for one in (self._first, self._second):
            _until(lambda one=one: _grants(one, account, audience), f"a grant for {account}")  # type: ignore[misc]


def _accounts() -> list[str]:
    return [f"app-{number}" for number in range(ACCOUNTS)]


def _batch(times: Sequence[tuple[float, float]]) -> Batch:
    first, second = zip(*times, strict=True)
    return {"refused s": list(first), "refused by the second s": list(second)}


def _refused(by: Client, account: str, audience: str) -> float:
    _until(lambda: not _grants(by, account, audience), "a refusal")
    return time.monotonic()


def _grants(by: Client, account: str, audience: str) -> bool:
    return granted(by, NAMESPACE, account, account, audience)
