"""Opens an audience again that stayed protected after its trust, or lists which do."""

from __future__ import annotations

import argparse
import sys

WAIT_SECONDS, POLL_SECONDS = 30.0, 0.2


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("audience", nargs="?", help="as the trust named it; without one: list what is still protected")
    parser.add_argument("--kubeconfig", metavar="FILE")
    parser.add_argument(
        "--namespace", default="apostille-system", help="Apostille's own namespace (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """0 when it is released, or everything is listed; 1 with the reason otherwise."""
    import asyncio

    from apostille.core import tombstones
    from apostille.kinds import decode
    from apostille.kube.client import CONFIG_MAPS, TRUSTS, ApiError, Client
    from apostille.kube.connection import Connection
    from apostille.model.names import AUDIENCES

    path = CONFIG_MAPS.path(AUDIENCES, namespace=options.namespace)

    async def records(client: Client) -> dict[str, tombstones.Record]:
        try:
            return tombstones.read((await client.get(path)).get("data") or {})
        except ApiError as error:
            if error.code == 404:
                return {}
            raise

    async def users(client: Client) -> list[str]:
        raws, _ = await client.list_all(TRUSTS.path())
        named = []
        for raw in raws:
            try:
                audience = decode.federation_trust(raw).audience
            except decode.InvalidObject:
                audience = str((raw.get("spec") or {}).get("audience"))
            if audience == options.audience:
                named.append(str(raw["metadata"]["name"]))
        return named

    async def work() -> int:
        async with Client(Connection.load(options.kubeconfig)) as client:
            known = await records(client)
            if options.audience is None:
                for closed in tombstones.tombstones(known):
                    print(
                        f"{closed.audience}  since {closed.ended:%Y-%m-%d %H:%M} UTC, when FederationTrust "
                        f"{closed.trust} went"
                    )
                return 0
            if named := await users(client):
                return _failed(
                    f"FederationTrust {', '.join(named)} uses {options.audience}: what it enforces is decided by its "
                    "spec.enforcement.mode"
                )
            if (record := known.get(options.audience)) is None:
                return _failed(f"{options.audience} is not protected; see: apostille release")
            # What else a record says stays as it is.
            entry = tombstones.Record(
                record.audience, record.trust, record.force, record.since, record.ended, released=True
            )
            await client.merge(path, {"data": {entry.key: entry.written()}})
            for _ in range(int(WAIT_SECONDS / POLL_SECONDS)):
                if options.audience not in await records(client):
                    print(f"{options.audience} is released: tokens for it are not judged any more")
                    return 0
                await asyncio.sleep(POLL_SECONDS)
            return _failed(
                f"{options.audience} is marked as released, but no controller has acted on it: it is open once one runs"
            )

    try:
        return asyncio.run(work())
    except ApiError as error:
        return _failed(error.message)


def _failed(reason: str) -> int:
    print(f"apostille: {reason}", file=sys.stderr)
    return 1
