"""Prints the trust configuration that a relying party must hold, as the controller renders it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apostille.cli import options as common

if TYPE_CHECKING:
    from apostille.kinds.federation_trust import FederationTrust
    from apostille.parties.party import Format as Form

# Those of `apostille.parties.party.FORMATS`, which is too heavy for --help, and all native ones in one document.
FORMS = ("native", "cli", "terraform", "json")
EXAMPLES = """
$ kubectl apostille render aws-prod -o terraform > iam.tf.json
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("trust", help="name of a FederationTrust")
    parser.add_argument(
        "-o", "--output", default="native", choices=FORMS,
        help="native: the members of the vendor's API; cli: a script of the vendor's commands; terraform: Terraform or "
        "OpenTofu JSON; json: the native documents by name in one (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--directory", metavar="DIR", type=Path, help="write one file per document instead of printing")
    common.cluster(parser)
    parser.add_argument(
        "--namespace", default=common.OWN_NAMESPACE, help="Apostille's own namespace (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """0 when printed; 1 when there is nothing to print, with the reason."""
    import asyncio

    from apostille.kinds.decode import federation_trust
    from apostille.kube.client import CONFIG_MAPS, TRUSTS, ApiError, Client
    from apostille.kube.connection import Connection
    from apostille.model.conditions import find
    from apostille.model.names import ACCESS_PREFIX

    async def read() -> tuple[dict[str, Any], dict[str, Any]]:
        async with Client(Connection.load(options.kubeconfig, options.context)) as client:
            trust = await client.get(TRUSTS.path(options.trust))
            try:
                return trust, await client.get(
                    CONFIG_MAPS.path(ACCESS_PREFIX + options.trust, namespace=options.namespace)
                )
            except ApiError as error:
                if error.code != 404:
                    raise
                return trust, {}

    try:
        trust, config_map = asyncio.run(read())
    except ApiError as error:
        print(f"apostille: {error.message}", file=sys.stderr)
        return 1
    files: dict[str, str] = config_map.get("data") or {}
    if not files:
        configured = find((trust.get("status") or {}).get("conditions") or [], "Configured")
        reason = configured.get("message") or "the controller has not looked at this trust yet"
        print(f"apostille: nothing is rendered for {options.trust}: {reason}", file=sys.stderr)
        return 1
    form: Form = "native" if options.output == "json" else options.output
    try:
        files = in_form(federation_trust(trust), files, form)
    except (KeyError, ValueError):
        written = {"native": "Native", "cli": "CLI", "terraform": "Terraform"}[form]
        print(
            f"apostille: {options.trust} is not rendered as {form}: "
            f"add {written} to its spec.configuration.formats", file=sys.stderr,
        )  # fmt: skip
        return 1
    if options.directory is not None:
        options.directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (options.directory / name).write_text(text)
            if name.endswith(".sh"):
                (options.directory / name).chmod(0o755)
            print(options.directory / name)
    elif options.output == "json":
        print(json.dumps({name: _document(name, text) for name, text in files.items()}, indent=2))
    else:
        for name, text in files.items():
            print(f"# {name}\n{text}" if len(files) > 1 else text)
    return 0


def in_form(trust: FederationTrust, files: Mapping[str, str], form: Form) -> dict[str, str]:
    """Of what is rendered the documents in one form; where it is not among them it is made of the native ones.

    Raises ValueError where those are missing too.
    """
    from apostille.parties.party import form_of

    found = {name: text for name, text in files.items() if form_of(name) == form}
    if found:
        return found
    native = {name: text for name, text in files.items() if form_of(name) == "native"}
    return dict(trust.party.render(trust.party.parse(native), form))


def _document(name: str, text: str) -> Any:
    return json.loads(text) if name.endswith(".json") else text
