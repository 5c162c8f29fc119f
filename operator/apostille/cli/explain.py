"""Says what identity a pod has, from where and until when; or why not, and the one line to change.

Needs the right to read pods and WorkloadBindings of the namespace. What else may be read (FederationTrusts, Events, the
log of the exchange sidecar) makes the answer more exact; what could not be is said.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from apostille.cli import options as common

if TYPE_CHECKING:
    from apostille.core.explain.answer import Answer, Explanation

EPILOG = "exit code: 0 the pod has all that is declared for it; 1 it has not, or could not be read; 2 wrong usage"
EXAMPLES = """
$ kubectl apostille explain pod reader-7c9 -n payments
pod reader-7c9 of namespace payments runs as service account reader

WorkloadBinding s3-reader: OlderThanBinding
  the pod (2026-11-20T08:00:00Z) is older than the binding (2026-11-24T10:00:00Z), and what runs is not changed
  change    kubectl rollout restart -n payments deployment/reader
"""


_EXCHANGED_BY = {"SDK": "the SDK", "TokenOnly": "the application", "Init": "an init container, once"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("what", nargs="+", metavar="pod NAME", help="the pod, also as pod/NAME")
    parser.add_argument("-n", "--namespace", metavar="NAME", help="of the pod (default: the context's)")
    parser.add_argument(
        "--own-namespace",
        metavar="NAME",
        default=common.OWN_NAMESPACE,
        help="where Apostille is installed (default: %(default)s)",
    )
    common.output(parser, "text", "json", "yaml")
    common.cluster(parser)
    parser.set_defaults(wrong=parser.error)


def run(options: argparse.Namespace) -> int:
    """0 where the pod has what is declared."""
    name = _pod(options)
    import asyncio
    from datetime import UTC, datetime

    from apostille.core.explain.explain import explain
    from apostille.kube.client import ApiError, Client
    from apostille.kube.connection import Connection
    from apostille.kube.pod_observations import observe

    connection = Connection.load(options.kubeconfig, options.context)
    namespace = options.namespace or connection.namespace

    async def read() -> Any:
        async with Client(connection) as client:
            return await observe(client, namespace, name, options.own_namespace)

    try:
        observed = asyncio.run(read())
    except ApiError as error:
        print(f"apostille: {error.message}", file=sys.stderr)
        return 1
    explanation = explain(observed, datetime.now(UTC))
    if options.output == "text":
        print("\n".join(lines(explanation)))
    else:
        from apostille.cli.documents import text

        print(text(document(explanation), options.output))
    return 0 if explanation.good else 1


def _pod(options: argparse.Namespace) -> str:
    words = [part for word in options.what for part in word.split("/", 1)]
    if len(words) != 2 or words[0] not in ("pod", "pods", "po") or not words[1]:
        options.wrong("say which pod: explain pod NAME")
    return str(words[1])


def lines(explanation: Explanation) -> list[str]:
    """For people."""
    who = f"pod {explanation.pod} of namespace {explanation.namespace} runs as service account"
    told = [f"{who} {explanation.service_account}"]
    for answer in explanation.answers:
        told += ["", *_answer(answer)]
    told += [line for note in explanation.notes for line in ("", f"note: {note}")]
    return told


def _answer(answer: Answer) -> list[str]:
    what = f"WorkloadBinding {answer.binding}" if answer.binding else "no identity"
    told = [f"{what}: {answer.state}", f"  {answer.message}"]
    if answer.change:
        told.append(f"  change    {answer.change}")
    identity = answer.identity
    if identity is not None:
        party = f" at {identity.party}" if identity.party else ""
        told += _field("target", identity.target + party if identity.target else "")
        told += _field("trust", identity.trust)
        told += _field("audience", identity.audience)
        if identity.token_seconds:
            how = f", exchanged by {_EXCHANGED_BY.get(identity.delivery, 'the exchange sidecar')}"
            told += _field("token", f"of {identity.token_seconds} s{how if identity.delivery else ''}")
        told += _field("until", f"{identity.until:%Y-%m-%dT%H:%M:%SZ}" if identity.until else "")
        if identity.ending_stops_refresh is not None:
            told += _field(
                "ending it",
                "stops the refresh of tokens"
                if identity.ending_stops_refresh
                else "does not stop the refresh of tokens (the trust's enforcement mode)",
            )
    if (said := answer.sidecar) is not None:
        told += _field("sidecar", said.state + (f", until {said.expires}" if said.expires else ""))
    for container, added in answer.added.items():
        where = f"to {container}: " if container else ""
        told += _field("added", f"{where}{', '.join(added)}")
    return [*told, *(f"  note      {note}" for note in answer.notes)]


def _field(name: str, value: str) -> list[str]:
    return [f"  {name:9} {value}"] if value else []


def document(explanation: Explanation) -> dict[str, Any]:
    """For programs; empty members are left out."""
    return {
        "pod": explanation.pod,
        "namespace": explanation.namespace,
        "serviceAccount": explanation.service_account,
        "good": explanation.good,
        "answers": [_members(answer) for answer in explanation.answers],
        "notes": list(explanation.notes),
    }


def _members(answer: Answer) -> dict[str, Any]:
    made: dict[str, Any] = {
        "binding": answer.binding,
        "state": str(answer.state),
        "good": answer.good,
        "message": answer.message,
        "change": answer.change,
    }
    identity = answer.identity
    if identity is not None:
        made["identity"] = _present(
            {
                "trust": identity.trust,
                "party": identity.party,
                "target": identity.target,
                "audience": identity.audience,
                "delivery": identity.delivery,
                "tokenSeconds": identity.token_seconds,
                "until": f"{identity.until:%Y-%m-%dT%H:%M:%SZ}" if identity.until else "",
                "endingStopsRefresh": identity.ending_stops_refresh,
            }
        )
    if answer.sidecar is not None:
        made["sidecar"] = _present({"state": answer.sidecar.state, "expires": answer.sidecar.expires})
    made["added"] = [{"container": container, "parts": list(parts)} for container, parts in answer.added.items()]
    made["notes"] = list(answer.notes)
    return _present(made)


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value not in ("", None, 0, [], {}) or value is False}
