"""Examines an installation: one line a check, with the fix.

Reads only; two dry runs show what is in force in the API server. Checks that need rights which you do not have are
`unknown`, and say which. The issuer's public URL is tried from this machine.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from apostille.cli import options as common

if TYPE_CHECKING:
    from apostille.core.doctor.check import Check

EPILOG = "exit code: 0 nothing failed, there may be warnings; 1 a check failed or no cluster was reached; 2 wrong usage"
EXAMPLES = """
$ kubectl apostille doctor
ok       api server    Kubernetes 1.37.2
FAIL     controller    no controller leads: nothing that changes is followed. Fix: kubectl logs -n apostille-system …
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument(
        "-n",
        "--namespace",
        metavar="NAME",
        default=common.OWN_NAMESPACE,
        help="Apostille's own namespace (default: %(default)s)",
    )
    common.output(parser, "text", "json", "yaml")
    common.cluster(parser)


def run(options: argparse.Namespace) -> int:
    """0 where no check failed."""
    import asyncio
    from datetime import UTC, datetime

    from apostille.core.doctor.check import Level
    from apostille.core.doctor.examine import examine
    from apostille.kube.client import ApiError, Client
    from apostille.kube.connection import Connection
    from apostille.kube.installation_observations import observe

    connection = Connection.load(options.kubeconfig, options.context)

    async def read() -> Any:
        async with Client(connection) as client:
            return await observe(client, options.namespace)

    try:
        observed = asyncio.run(read())
    except ApiError as error:
        print(f"apostille: {error.message}", file=sys.stderr)
        return 1
    checks = examine(observed, datetime.now(UTC))
    if options.output == "text":
        print("\n".join(lines(checks)))
    else:
        from apostille.cli.documents import text

        print(text({"checks": [document(check) for check in checks]}, options.output))
    return 1 if any(check.level is Level.FAIL for check in checks) else 0


def lines(checks: list[Check]) -> list[str]:
    """For people."""
    return [
        f"{check.level.upper() if check.level != 'ok' else 'ok':8} {check.name:13} {check.message}"
        + (f". Fix: {check.fix}" if check.fix else "")
        for check in checks
    ]


def document(check: Check) -> dict[str, str]:
    """For programs."""
    made = {"name": check.name, "level": str(check.level), "message": check.message, "fix": check.fix}
    return {key: value for key, value in made.items() if value}
