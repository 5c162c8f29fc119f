"""Judges files offline by the catalogue: trusts, bindings, workloads, relying parties' documents.

Takes files, folders and `-` for standard input: YAML of one or many documents, Lists, JSON, the output of helm template
and kustomize build. Trusts and bindings are judged together, also across files; workloads of bound service accounts by
what admission would say of their pods; folders of rendered documents by their parties' own rules. Needs no cluster;
with --cluster trusts that are live there are judged and joined too.

Of what is found in folders, JSON that cannot be read and documents that are too large are told in a note where no
object of Kubernetes can be in them and no party's document bears that name; where they are named, they are unreadable.

A finding is tolerated by a comment at its line or above it, or by an annotation for the whole object, with a reason and
a last day: `# apostille-lint: ignore APO107 until 2027-01-15: REASON`, and without the `# apostille-lint: ignore` in
the annotation `lint.apostille.dev/ignore`.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from apostille.cli import options as common

if TYPE_CHECKING:
    from apostille.lint.report import Report
    from apostille.model.finding import Severity
    from apostille.model.identity import Issuer

FORMS = ("text", "json", "yaml", "sarif", "junit", "github")
EPILOG = (
    "exit code: 0 nothing that counts was found; 1 findings that count (--fail-on); 2 unreadable input, wrong usage"
)
EXAMPLES = """
$ apostille lint trusts/ bindings/ rendered/
$ helm template payments charts/payments | apostille lint trusts/ -
$ apostille lint . -o sarif > apostille.sarif
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, a folder, or - for standard input")
    common.output(parser, *FORMS)
    parser.add_argument(
        "--fail-on",
        choices=["warn", "deny", "never"],
        default="deny",
        help="exit with 1 on: warn, any finding; deny, what would be refused; never (default: %(default)s)",
    )
    parser.add_argument("-n", "--namespace", metavar="NAME", default="", help="of objects that name none")
    judging(parser)
    parser.add_argument("--cluster", action="store_true", help="judge and join the cluster's FederationTrusts as well")
    common.cluster(parser)


def judging(parser: argparse.ArgumentParser) -> None:
    """What is left out, and what rules need to know of the cluster that the files are for."""
    parser.add_argument(
        "--exclude",
        metavar="PATTERN",
        action="append",
        default=[],
        help="files and folders that are not read where they are found: a name, or a path with wildcards (* ? [])",
    )
    parser.add_argument("--issuer", metavar="URL", help="of the cluster; without it rules about it wait")
    parser.add_argument(
        "--jwks",
        metavar="FILE",
        help="the issuer's keys, as kubectl get --raw /openid/v1/jwks prints them; uploaded ones are compared",
    )
    parser.add_argument(
        "--own-namespace",
        metavar="NAME",
        default=common.OWN_NAMESPACE,
        help="where Apostille is installed (default: %(default)s)",
    )
    parser.add_argument(
        "--party-address",
        metavar="HOST|CIDR",
        action="append",
        default=[],
        help="where the installation allows self-hosted relying parties, as its chart's value says",
    )
    parser.add_argument(
        "--rule",
        metavar="ID=MODE",
        action="append",
        default=[],
        help="what the installation makes of a rule: off, warn or deny, as its chart's value says",
    )


def run(options: argparse.Namespace) -> int:
    """0, 1 or 2: see EPILOG."""
    from datetime import UTC, datetime

    from apostille.cli.files import named, read
    from apostille.lint.judge import Options, lint

    try:
        live, issuer = _live(options) if options.cluster else ([], None)
        context = judge_context(options, issuer)
        notes: list[str] = []
        # All of them before the first is judged: a path that is not there is wrong usage.
        files = list(read(options.paths, notes, patterns(options)))
    except (OSError, ValueError) as error:
        print(f"apostille: {error}", file=sys.stderr)
        return 2
    judged = Options(context, datetime.now(UTC).date(), options.namespace, live, named(options.paths))
    report = lint(files, judged, notes)
    fails = fails_on(options.fail_on)
    print(_text(report, options.output, fails))
    if options.output not in ("text", "json", "yaml"):
        for note in report.notes:
            print(f"apostille: {note}", file=sys.stderr)
    return 2 if report.problems else int(report.fails(fails))


def patterns(options: argparse.Namespace) -> list[str]:
    """What is left out, as `files.read` takes it."""
    return [pattern.removeprefix("./").rstrip("/") for pattern in options.exclude]


def judge_context(options: argparse.Namespace, live: Issuer | None = None) -> Any:
    """What the rules need. Raises OSError, and ValueError for an address, a mode or keys that are none."""
    from apostille.core.judge import Context
    from apostille.model.identity import Issuer
    from apostille.parties.registry import catalogue
    from apostille.rules.addresses import AddressPolicy
    from apostille.rules.modes import Modes

    # A live issuer has its keys, so that it is kept where it is the one that was named.
    issuer = live if live and options.issuer in (None, live.url) else Issuer(options.issuer) if options.issuer else None
    if options.jwks:
        issuer = _with_keys(issuer, options.jwks)
    modes = Modes.of(options.rule, catalogue())
    return Context(issuer, options.own_namespace, AddressPolicy.of(options.party_address), modes)


def _with_keys(issuer: Issuer | None, file: str) -> Issuer:
    """Raises OSError, ValueError."""
    import json
    from pathlib import Path

    from apostille.model.finding import refusals
    from apostille.rules import keys

    if issuer is None:
        raise ValueError("--jwks: name the issuer whose keys they are with --issuer")
    try:
        document = json.loads(Path(file).read_bytes())
        made = keys.issuer(issuer.url, document)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file}: {error}") from None
    if found := refusals(keys.key_set(document, file)):
        raise ValueError(str(found[0]))
    return made


def fails_on(on: str) -> Severity | None:
    """The severity from which on findings count; None for never."""
    from apostille.model.finding import Severity

    return None if on == "never" else Severity(on)


def _text(report: Report, form: str, fails: Severity | None) -> str:
    from apostille import __version__

    if form == "text":
        from apostille.lint.formats.lines import lines

        return lines(report)
    if form == "junit":
        from apostille.lint.formats.junit import junit

        return junit(report, fails)
    if form == "github":
        from apostille.lint.formats.github import github

        return github(report)
    from apostille.cli.documents import text

    if form == "sarif":
        from apostille.lint.formats.sarif import sarif

        return text(sarif(report, __version__), "json")
    from apostille.lint.formats.data import data

    return text(data(report), "yaml" if form == "yaml" else "json")


def _live(options: argparse.Namespace) -> tuple[list[dict[str, Any]], Issuer | None]:
    """The cluster's trusts, and its issuer with its keys where they may be read. Raises ConnectionError."""
    import asyncio

    from apostille.kube.client import TRUSTS, ApiError, Client
    from apostille.kube.connection import Connection
    from apostille.model.names import API_VERSION, TRUST_KIND
    from apostille.rules.keys import issuer as published

    async def read() -> tuple[list[dict[str, Any]], Issuer | None]:
        async with Client(Connection.load(options.kubeconfig, options.context)) as client:
            found, _ = await client.list_all(TRUSTS.path())
            try:
                document = await client.get("/.well-known/openid-configuration")
                issuer = published(str(document["issuer"]), await client.get("/openid/v1/jwks"))
            except (ApiError, KeyError, ValueError):
                issuer = None
            return [{"apiVersion": API_VERSION, "kind": TRUST_KIND, **one} for one in found], issuer

    try:
        return asyncio.run(read())
    except ApiError as error:
        raise ConnectionError(error.message) from None
