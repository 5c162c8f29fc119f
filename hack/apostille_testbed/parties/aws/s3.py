"""S3 behind the judge: sessions and the role's permission here, buckets and objects in moto's S3."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

from apostille_testbed.parties.aws.caller import Caller
from apostille_testbed.parties.aws.errors import Refused
from apostille_testbed.parties.aws.iam import IAM
from apostille_testbed.parties.serving import Reply, Request

# moto takes any signature; it only wants to see that there is one. The real one has been verified before.
_SIGNED = "AWS4-HMAC-SHA256 Credential=AKIATESTBED/20260101/{region}/s3/aws4_request, SignedHeaders=host, Signature=0"
# The query parameters of ListObjects, ListObjectsV2, GetBucketLocation, HeadBucket, GetObject and HeadObject.
# Others turn a GET into another operation (?acl, ?policy, …), which is another permission.
_READING = frozenset(
    {"list-type", "prefix", "delimiter", "max-keys", "marker", "continuation-token", "start-after", "encoding-type"}
    | {"fetch-owner", "location", "x-id", "partNumber"}
)
_HOP_BY_HOP = frozenset({"content-length", "transfer-encoding", "connection", "server", "date"})
# moto keeps its state in module globals.
_MOTO_LOCK = threading.Lock()


@functools.cache
def _moto() -> Any:
    # Imported on first use: it takes most of a second, and many tests never touch a bucket.
    from moto.moto_server.werkzeug_app import create_backend_app

    return create_backend_app("s3")


class Buckets:
    """Buckets of one account. Their names are unique over all parties of the process, as they are at AWS."""

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._region = region
        self._names: dict[str, set[str]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The buckets that `create` made."""
        return tuple(self._names)

    def create(self, bucket: str, objects: Mapping[str, bytes]) -> None:
        """Makes a bucket, if it is not there, and puts ``objects`` by key. Raises ValueError when S3 refuses."""
        if bucket not in self._names:
            location = (
                ""
                if self._region == "us-east-1"
                else (
                    '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                    f"<LocationConstraint>{self._region}</LocationConstraint></CreateBucketConfiguration>"
                )
            )
            self._do("PUT", f"/{bucket}", location.encode())
            self._names[bucket] = set()
        for key, body in objects.items():
            self._do("PUT", f"/{bucket}/{quote(key)}", body)
            self._names[bucket].add(key)

    def clear(self) -> None:
        """Deletes the buckets that `create` made."""
        for bucket, keys in self._names.items():
            for key in keys:
                self._do("DELETE", f"/{bucket}/{quote(key)}")
            self._do("DELETE", f"/{bucket}")
        self._names.clear()

    def forward(self, method: str, path: str, query: str, headers: Iterable[tuple[str, str]]) -> Reply:
        """Passes a request without body to moto, path-style and percent-encoded; returns moto's reply."""
        return self._call(method, path, query, b"", headers)

    def _do(self, method: str, path: str, body: bytes = b"") -> None:
        reply = self._call(method, path, "", body, [])
        if reply.status >= 300:
            raise ValueError(f"S3 refused {method} {path}: {reply.body.decode(errors='replace')[:200]}")

    def _call(self, method: str, path: str, query: str, body: bytes, headers: Iterable[tuple[str, str]]) -> Reply:
        from werkzeug.test import EnvironBuilder, run_wsgi_app

        builder = EnvironBuilder(
            path=path,
            query_string=query,
            method=method,
            data=body,
            base_url="http://s3.amazonaws.com",
            headers=[
                *headers,
                ("Authorization", _SIGNED.format(region=self._region)),
                ("X-Moto-Account-Id", self._account),
            ],
        )
        try:
            with _MOTO_LOCK:
                chunks, status, received = run_wsgi_app(_moto(), builder.get_environ(), buffered=True)
                content = b"".join(chunks)
        finally:
            builder.close()
        # A reply to HEAD has a length and no body, any other reply is as long as its body.
        dropped = _HOP_BY_HOP - {"content-length"} if method == "HEAD" else _HOP_BY_HOP
        kept = {name: value for name, value in received.items() if name.lower() not in dropped}
        return Reply(int(status.split(" ", 1)[0]), content, kept)


class Storage:
    """S3's front: judges every request before moto sees it."""

    def __init__(self, iam: IAM, caller: Caller, buckets: Buckets) -> None:
        self._iam = iam
        self._caller = caller
        self._buckets = buckets

    def answer(self, request: Request, virtual_bucket: str | None) -> Reply:
        """Answers one request; ``virtual_bucket`` is the bucket named by the Host header, if any. Raises Refused."""
        session = self._caller.s3(request)
        path = request.path if virtual_bucket is None else f"/{virtual_bucket}{request.path}"
        bucket = path.split("/")[1]
        # Reading is all that the demo's roles may do; listing all buckets is a right of its own (s3:ListAllMyBuckets).
        if (
            request.method not in ("GET", "HEAD")
            or {name for name, _ in parse_qsl(request.query, keep_blank_values=True)} - _READING
            or not self._iam.may_read(session.role, bucket)
        ):
            raise Refused(
                "AccessDenied",
                f"User: {session.arn} is not authorized to perform this operation on this resource",
                403,
            )
        passed = [(name, request.headers[name]) for name in ("Range", "If-None-Match") if name in request.headers]
        return self._buckets.forward(request.method, path, request.query, passed)
