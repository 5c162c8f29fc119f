"""AWS as a process: ``python -m apostille_testbed.parties aws …``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from apostille_testbed.parties.aws.iam import IAMError
from apostille_testbed.parties.aws.party import AWSParty
from apostille_testbed.parties.keys import Address

_INTERVAL = 0.5  # seconds between two looks at the documents; IAM itself takes seconds to propagate


def main(arguments: Sequence[str]) -> int:
    """Serves until SIGTERM or SIGINT. Prints one JSON line when ready, then one line per exchange.

    Documents are read again when a file changes; what IAM refuses is said on stderr and changes nothing.
    """
    options = _parser().parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    options.directory.mkdir(parents=True, exist_ok=True)
    aws = AWSParty(
        account=options.account,
        region=options.region,
        resolve=dict(options.resolve),
        directory=options.directory,
        bind=options.bind,
        port=options.port,
        leeway=options.leeway,
    )
    try:
        for bucket, folder in options.bucket:
            files = (file for file in sorted(folder.iterdir()) if file.is_file()) if folder else ()
            aws.create_bucket(bucket, {file.name: file.read_bytes() for file in files})
        for role in {role for role, _ in options.permit}:
            aws.iam.permit(role, [bucket for permitted, bucket in options.permit if permitted == role])
        aws.start()
        documents = _Documents(aws, options.documents)
        documents.read()
        _print({"url": aws.url, "ca": str(aws.ca), "hosts": aws.hosts})
        _serve(aws, documents, ended)
    finally:
        aws.close()
    return 0


def _serve(aws: AWSParty, documents: _Documents, ended: threading.Event) -> None:
    printed = 0
    while not ended.wait(_INTERVAL):
        documents.read()
        for exchange in aws.exchanges[printed:]:
            printed += 1
            _print(
                {
                    "time": round(exchange.time, 3),
                    "code": exchange.code,
                    "subject": exchange.subject,
                    "audience": exchange.audience,
                    "role": exchange.role,
                    "detail": exchange.detail,
                }
            )


class _Documents:
    """A folder of rendered documents that is loaded again when it changed."""

    def __init__(self, aws: AWSParty, folder: Path | None) -> None:
        self._aws = aws
        self._folder = folder
        self._seen: list[tuple[str, int, int]] | None = None

    def read(self) -> None:
        if self._folder is None:
            return
        try:
            states = [(file.name, file.stat()) for file in sorted(self._folder.glob("*.json"))]
            now = [(name, state.st_mtime_ns, state.st_size) for name, state in states]
            if now == self._seen:
                return
            self._aws.iam.load_directory(self._folder)
            self._seen = now
        except FileNotFoundError:
            # A file that is being replaced; the next look sees it whole.
            return
        except IAMError as error:
            self._seen = now
            print(f"IAM refused the documents: {error}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m apostille_testbed.parties aws", description=__doc__)
    parser.add_argument("--account", default="123456789012")
    parser.add_argument("--region", default="eu-west-1")
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--leeway", type=int, default=0, help="seconds granted around exp, nbf and iat (AWS: 300)")
    parser.add_argument("--directory", type=Path, required=True, help="where ca.pem is written")
    parser.add_argument("--documents", type=Path, help="folder of oidc-provider.json and role-NAME.json, watched")
    parser.add_argument(
        "--resolve",
        type=_resolve,
        action="append",
        default=[],
        metavar="ISSUER=URL,CA",
        help="where an issuer is served",
    )
    parser.add_argument("--bucket", type=_bucket, action="append", default=[], metavar="NAME[=FOLDER]")
    parser.add_argument("--permit", type=_pair, action="append", default=[], metavar="ROLE=BUCKET")
    return parser


def _pair(text: str) -> tuple[str, str]:
    left, separator, right = text.partition("=")
    if not (left and separator and right):
        raise argparse.ArgumentTypeError(f"{text!r} has no = between two parts")
    return left, right


def _resolve(text: str) -> tuple[str, Address]:
    issuer, place = _pair(text)
    url, separator, ca = place.rpartition(",")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} names no CA file")
    return issuer, Address(url, Path(ca))


def _bucket(text: str) -> tuple[str, Path | None]:
    name, _, folder = text.partition("=")
    return name, Path(folder) if folder else None


def _print(members: dict[str, object]) -> None:
    print(json.dumps(members), flush=True)
