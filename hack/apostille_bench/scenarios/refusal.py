"""How soon the API server refuses tokens once a binding is deleted, through one API server and through a second.

The pods of the scenario ``cutoff`` are not here: no node, so that hundreds of deletions can be measured. The baseline
is the floor of the platform: the same policy, changed by hand. A second API server on the same etcd learns of it by a
watch of its own.

API servers poll policies every second. Each change comes at a moment of that second that chance chooses: after the last
refusal, which is when a second begins, all of it would always be waited for.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from apostille_bench import floor
from apostille_bench.runner import Batch, Variant
from apostille_bench.scene import Caller, two_servers
from apostille_bench.tokens import granted_at_once
from apostille_bench.waiting import until
from apostille_testbed import ControlPlane, Installation, control_plane
from apostille_testbed.installation import CONTROLLER

NAMESPACE, AUDIENCE = "refusals", "https://refusals.example"
ACCOUNTS, BY_HAND = 20, 3
_KINDS = "/apis/apostille.dev/v1alpha1"
_until = partial(until, within=120.0, pause=0.01)
_ROLE = "arn:aws:iam::123456789012:role/reader"


class Refusal:
    """A batch ends the tokens of twenty service accounts, one after the other."""

    name = "refusal"
    question = "how soon after its binding is deleted is a token request refused, by one API server and by a second?"

    @contextmanager
    def variants(self, say: Callable[[str], None]) -> Iterator[Sequence[Variant]]:
        """The floor is the baseline."""
        with (
            control_plane(say=say) as plane,
            Installation(plane) as installation,
            ThreadPoolExecutor(2) as pool,
            two_servers(plane) as servers,
        ):
            bench = _Bench(plane, servers, pool)
            bench.declare()

            def delete() -> Batch:
                try:
                    return bench.delete()
                except TimeoutError as error:
                    error.add_note(installation.process(CONTROLLER).tail())
                    raise

            yield (
                Variant("floor", "a policy, changed by hand", bench.by_hand),
                Variant("apostille", "kubectl delete wbind", delete),
            )


class _Bench:
    def __init__(self, plane: ControlPlane, callers: Sequence[Caller], pool: ThreadPoolExecutor) -> None:
        self._client, self._callers, self._pool = plane.client, callers, pool
        self._chance = random.Random(0)  # noqa: S311
        plane.create_namespace(NAMESPACE)

    def declare(self) -> None:
        """A trust that is enforced, service accounts with a pod each, and the policy of the floor."""
        base = f"/api/v1/namespaces/{NAMESPACE}"
        for account in _accounts():
            self._client.ensure(f"{base}/serviceaccounts", {"metadata": {"name": account}})
            spec = {"serviceAccountName": account, "containers": [{"name": "app", "image": "app"}]}
            self._client.ensure(f"{base}/pods", {"metadata": {"name": account}, "spec": spec})
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
        floor.declare(self._client)

    def by_hand(self) -> Batch:
        """The policy refuses, and grants again."""
        account, times = _accounts()[0], []
        for _ in range(BY_HAND):
            times.append(self._timed(account, floor.AUDIENCE, lambda: floor.refuse(self._client, True)))
            floor.refuse(self._client, False)
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
            return self._client.request("DELETE", f"{base}/{account}")

        return _batch([self._timed(account, AUDIENCE, partial(forget, account)) for account in _accounts()])

    def _create(self, path: str, kind: str, name: str, spec: dict[str, Any]) -> None:
        body = {"apiVersion": "apostille.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        self._client.ensure(path, body)

    def _timed(self, account: str, audience: str, change: Callable[[], object]) -> tuple[float, float]:
        """Seconds from the moment when the change is sent until each API server refuses."""
        time.sleep(self._chance.random())
        began = time.monotonic()
        ends = [self._pool.submit(_refused, one, account, audience) for one in self._callers]
        change()
        return ends[0].result() - began, ends[1].result() - began

    def _granted(self, account: str, audience: str) -> None:
        for one in self._callers:
            _until(lambda one=one: _grants(one, account, audience), f"a grant for {account}")  # type: ignore[misc]


def _accounts() -> list[str]:
    return [f"app-{number}" for number in range(ACCOUNTS)]


def _batch(times: Sequence[tuple[float, float]]) -> Batch:
    first, second = zip(*times, strict=True)
    return {"refused s": list(first), "refused by the second s": list(second)}


def _refused(by: Caller, account: str, audience: str) -> float:
    _until(lambda: not _grants(by, account, audience), "a refusal")
    return time.monotonic()


def _grants(by: Caller, account: str, audience: str) -> bool:
    return granted_at_once(by, NAMESPACE, account, account, audience)
