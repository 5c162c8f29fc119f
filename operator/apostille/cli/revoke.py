"""Ends a binding, or a trust with all of its bindings: no token is granted any more.

With ``--break-glass`` also while every process of Apostille is dead.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apostille.kinds.federation_trust import FederationTrust
    from apostille.kinds.workload_binding import WorkloadBinding
    from apostille.kube.client import Client

WAIT_SECONDS, POLL_SECONDS = 30.0, 0.2
ASIDE_SECONDS = 30.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("kind", choices=["binding", "trust"])
    parser.add_argument("name")
    parser.add_argument("-n", dest="of_namespace", metavar="NAMESPACE", default="default", help="of the binding")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--break-glass",
        action="store_true",
        help="with Apostille's processes dead: sets its judgement of declarations aside and edits the policies by "
        "hand; needs the rights of an administrator",
    )
    parser.add_argument("--kubeconfig", metavar="FILE")


def run(options: argparse.Namespace) -> int:
    """0 when it is ended; 1 with the reason otherwise."""
    import asyncio

    from apostille.kinds.decode import InvalidObject
    from apostille.kube.client import ApiError, Client
    from apostille.kube.connection import Connection

    async def work() -> int:
        async with Client(Connection.load(options.kubeconfig)) as client:
            trust, bindings, path = await _found(client, options)
            for line in _consequences(trust, bindings):
                print(line)
            if not options.yes and not _agreed():
                return 1
            if options.break_glass:
                await _set_aside(client)
            await suspend(client, path, patience=ASIDE_SECONDS if options.break_glass else 0.0)
            print("suspended: it grants nothing any more")
            if not options.break_glass:
                return await _watched(client, path)
            await _edit_policies(client, trust, bindings)
            await _tell_pods(client, bindings)
            print("done. A controller that comes back finds it suspended and keeps it so; it puts its webhook back.")
            return 0

    try:
        return asyncio.run(work())
    except (ApiError, InvalidObject) as error:
        print(f"apostille: {error}", file=sys.stderr)
        return 1


async def _found(client: Client, options: argparse.Namespace) -> tuple[FederationTrust, list[WorkloadBinding], str]:
    """The trust, the bindings that end, and what is to be suspended. Raises ApiError, InvalidObject."""
    from apostille.kinds import decode
    from apostille.kube.client import BINDINGS, TRUSTS

    if options.kind == "binding":
        path = BINDINGS.path(options.name, namespace=options.of_namespace)
        binding = decode.workload_binding(await client.get(path))
        trust = decode.federation_trust(await client.get(TRUSTS.path(binding.spec.trust_ref.name)))
        return trust, [binding], path
    path = TRUSTS.path(options.name)
    trust = decode.federation_trust(await client.get(path))
    raws, _ = await client.list_all(BINDINGS.path())
    named = [raw for raw in raws if raw["spec"]["trustRef"]["name"] == options.name]
    return trust, [decode.workload_binding(raw) for raw in named], path


def _consequences(trust: FederationTrust, bindings: list[WorkloadBinding]) -> list[str]:
    enforced = trust.spec.enforcement.mode == "Enforce"
    lines = [f"{binding.namespace}/{binding.name}: {', '.join(a.name for a in binding.service_accounts)}"
             for binding in bindings]  # fmt: skip
    return [
        *lines,
        f"tokens for {trust.audience}: " + (
            "none is granted from now on" if enforced
            else f"go on being granted (enforcement.mode is {trust.spec.enforcement.mode})"
        ),
        f"tokens that are out are good for {trust.spec.ceilings.assertion_seconds} seconds at most, sessions at "
        f"{trust.party.name} for {trust.spec.ceilings.session_seconds}",
    ]  # fmt: skip


def _agreed() -> bool:
    if not sys.stdin.isatty():
        print("apostille: nobody is there to be asked; say --yes", file=sys.stderr)
        return False
    return input("End it? [y/N] ").strip().lower() in ("y", "yes")


async def _set_aside(client: Client) -> None:
    """The webhook that judges declarations fails closed: with nobody there to judge, nothing could be suspended."""
    from apostille.kube.client import VALIDATING
    from apostille.model.names import KINDS_WEBHOOKS

    await client.delete(VALIDATING.path(KINDS_WEBHOOKS))
    print(f"ValidatingWebhookConfiguration {KINDS_WEBHOOKS} set aside")


async def suspend(client: Client, path: str, *, patience: float) -> None:
    """Suspends what is there. Raises ApiError, also where our webhook is asked in vain after ``patience`` seconds.

    An API server asks a webhook that was removed until it hears of that, and each of several hears by itself.
    """
    import asyncio

    from apostille.kube.client import ApiError
    from apostille.model.names import GROUP

    now = asyncio.get_running_loop().time
    give_up = now() + patience
    while True:
        try:
            await client.merge(path, {"spec": {"suspended": True}})
            return
        except ApiError as error:
            in_vain = error.code == 500 and f'failed calling webhook "kinds.{GROUP}"' in error.message
            if not in_vain or now() >= give_up:
                raise
        await asyncio.sleep(POLL_SECONDS)


async def _edit_policies(client: Client, trust: FederationTrust, bindings: list[WorkloadBinding]) -> None:
    from apostille.core import grants
    from apostille.kube.client import POLICIES
    from apostille.model.names import POLICY_PREFIX

    accounts = {account for binding in bindings for account in binding.service_accounts}
    raws, _ = await client.list_all(POLICIES.path())
    for raw in raws:
        name = raw["metadata"]["name"]
        if not name.startswith(POLICY_PREFIX):
            continue
        if (variables := grants.without(raw, accounts, trust.audience)) is not None:
            await client.merge(POLICIES.path(name), {"spec": {"variables": variables}})
            print(f"ValidatingAdmissionPolicy {name}: the grants are out; in force in about a second")


async def _tell_pods(client: Client, bindings: list[WorkloadBinding]) -> None:
    from apostille.core.pods import ended, facts
    from apostille.kube.client import PODS

    for binding in bindings:
        raws, _ = await client.list_all(PODS.path(namespace=binding.namespace))
        for raw in raws:
            pod = facts(raw)
            if pod is None or pod.account not in binding.service_accounts:
                continue
            if changes := ended(pod, binding.name):
                body: dict[str, Any] = {"metadata": {"annotations": changes}}
                await client.merge(PODS.path(pod.name, namespace=pod.namespace), body)
                print(f"pod {pod.namespace}/{pod.name}: told to drop its credential")


async def _watched(client: Client, path: str) -> int:
    """Until the controller says so."""
    import asyncio

    from apostille.model.conditions import find

    for _ in range(int(WAIT_SECONDS / POLL_SECONDS)):
        raw = await client.get(path)
        ready = find((raw.get("status") or {}).get("conditions") or [], "Ready")
        if ready.get("observedGeneration", 0) >= raw["metadata"]["generation"]:
            print(f"{ready['reason']}: {ready['message']}")
            return 0
        await asyncio.sleep(POLL_SECONDS)
    print(
        "apostille: no controller has acted on it; if it must end now, say --break-glass "
        "(docs/runbooks/break-glass.md)",
        file=sys.stderr,
    )
    return 1
