"""AWS as one server: which service a request is for, faults on demand, and a record of the exchanges."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from apostille_testbed.parties.aws import sigv4, wire
from apostille_testbed.parties.aws.caller import Caller
from apostille_testbed.parties.aws.errors import Refused
from apostille_testbed.parties.aws.iam import IAM
from apostille_testbed.parties.aws.s3 import Buckets, Storage
from apostille_testbed.parties.aws.sessions import Sessions
from apostille_testbed.parties.aws.sts import Attempt, TokenService, read_form
from apostille_testbed.parties.keys import Address, KeySource
from apostille_testbed.parties.serving import Reply, Request, Server
from apostille_testbed.parties.tls import Authority
from apostille_testbed.scratch import Scratch

# Faults by code: HTTP status and message (cloud-trust §3.3; AWS "Common errors").
_FAULTS: Mapping[str, tuple[int, str]] = {
    "IDPCommunicationError": (400, "The identity provider could not be reached"),
    "IDPRejectedClaim": (403, "The identity provider rejected the claim"),
    "InternalFailure": (500, "The request processing has failed because of an unknown error"),
    "RegionDisabledException": (403, "STS is not activated in this region for account"),
    "ServiceUnavailable": (503, "The request has failed due to a temporary failure of the server"),
    "Throttling": (400, "Rate exceeded"),
}


@dataclass(frozen=True)
class Exchange:
    """One AssumeRoleWithWebIdentity call.

    ``code`` is ``OK`` or the error's code, ``time`` in seconds since the epoch by the party's clock. Subject, audience
    and role are as presented: believe them only where the code is ``OK``. ``detail`` is what AWS would not tell its
    client, such as why keys could not be read.
    """

    time: float
    code: str
    subject: str
    audience: tuple[str, ...]
    role: str
    detail: str = ""


class AWSParty:
    """One AWS account in one region: IAM by documents, STS and S3 over HTTPS on one loopback port.

    Args:
        account: 12 digits.
        region: decides host names, partition and signing scope.
        resolve: where each issuer is really served: issuer URL to `Address`, in place of public DNS.
        directory: holds ``ca.pem``; a temporary one, removed by `close`, when left out.
        bind: the IP address to listen on.
        port: the TCP port; 0 takes a free one, which is kept until `close`.
        extra_names: further names or addresses for the certificate.
        clock: seconds since the epoch; decides token and session lifetimes, so tests can move it.
        leeway: seconds granted after ``exp`` and before ``nbf``; AWS grants 300, tests want to see the end.
        key_cooldown: least seconds between two key fetches for unknown kids.
        key_max_age: seconds after which an issuer's keys are read again.
    """

    def __init__(
        self,
        *,
        account: str = "123456789012",
        region: str = "eu-west-1",
        resolve: Mapping[str, Address] | None = None,
        directory: Path | None = None,
        bind: str = "127.0.0.1",
        port: int = 0,
        extra_names: Iterable[str] = (),
        clock: Callable[[], float] = time.time,
        leeway: int = 0,
        key_cooldown: float = 5.0,
        key_max_age: float = 300.0,
    ) -> None:
        self._scratch = None if directory else Scratch("aws")
        self._directory = directory or (self._scratch.directory if self._scratch else Path())
        self._bind, self._clock = bind, clock
        self._domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        self._region = region
        partition = {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rsplit("-", 2)[0], "aws")
        self.iam = IAM(account, partition)
        self._keys = KeySource(clock, key_cooldown, key_max_age)
        for issuer, address in (resolve or {}).items():
            self._keys.resolve(issuer, address)
        sessions = Sessions(account, partition)
        caller = Caller(self.iam, sessions, clock, region)
        self._buckets = Buckets(account, region)
        self._sts = TokenService(self.iam, self._keys, sessions, caller, clock, leeway)
        self._s3 = Storage(self.iam, caller, self._buckets)
        self._lock = threading.Lock()
        self._exchanges: list[Exchange] = []
        self._failures: list[str] = []
        self._outage = False
        authority = Authority(self._directory)
        self.ca = authority.pem
        names = (*self._service_hosts(), f"*.s3.{region}.{self._domain}", "localhost", "127.0.0.1", "::1", *extra_names)
        self._server = Server(self._answer, authority.server(dict.fromkeys((*names, bind))), bind, port)

    @property
    def port(self) -> int:
        """The TCP port, the same after `stop` and `start`."""
        return self._server.port

    @property
    def url(self) -> str:
        """The address for ``AWS_ENDPOINT_URL_STS`` and ``AWS_ENDPOINT_URL_S3``."""
        host = f"[{self._bind}]" if ":" in self._bind else self._bind
        return f"https://{host}:{self.port}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """The vendor's host names that it answers to, for a hosts file: STS, S3 and each bucket."""
        s3 = f"s3.{self._region}.{self._domain}"
        return (*self._service_hosts(), *(f"{bucket}.{s3}" for bucket in self._buckets.names))

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Every AssumeRoleWithWebIdentity call so far, oldest first, without tokens and credentials."""
        with self._lock:
            return tuple(self._exchanges)

    def resolve(self, issuer: str, url: str, ca: Path) -> None:
        """Says where ``issuer`` serves discovery and keys: an https URL in its place, and the PEM file of its CA."""
        self._keys.resolve(issuer, Address(url, ca))

    def create_bucket(self, name: str, objects: Mapping[str, bytes] | None = None) -> None:
        """Makes a bucket, or adds ``objects`` (key to content) to it. Raises ValueError when S3 refuses."""
        self._buckets.create(name, objects or {})

    def fail_next(self, count: int, code: str) -> None:
        """Answers the next ``count`` STS calls with an error such as ``IDPCommunicationError``. Raises KeyError."""
        _FAULTS[code]
        with self._lock:
            self._failures.extend([code] * count)

    def outage(self, on: bool) -> None:
        """Answers everything with 503 while ``on``."""
        self._outage = on

    def start(self) -> None:
        """Begins to answer; returns when the port accepts connections."""
        self._server.start()

    def stop(self) -> None:
        """Drops every connection and refuses new ones; port, sessions, IAM state and buckets stay."""
        self._server.stop()

    def close(self) -> None:
        """Stops for good and removes buckets and temporary files."""
        self._server.close()
        self._buckets.clear()
        if self._scratch:
            self._scratch.close()

    def _service_hosts(self) -> tuple[str, ...]:
        regional = f"{self._region}.{self._domain}"
        return (f"sts.{regional}", f"sts.{self._domain}", f"s3.{regional}")

    def _answer(self, request: Request) -> Reply:
        if self._is_s3(request):
            try:
                if self._outage:
                    raise Refused("ServiceUnavailable", "Please reduce your request rate.", 503)
                return self._s3.answer(request, self._virtual_bucket(request))
            except Refused as refused:
                return wire.s3_error(refused)
        try:
            return self._answer_sts(request)
        except Refused as refused:
            return wire.sts_error(request, refused)

    def _answer_sts(self, request: Request) -> Reply:
        form = {} if self._outage else read_form(request)
        attempt, code, detail = Attempt(), "OK", ""
        try:
            self._fault()
            return self._sts.answer(request, form, attempt)
        except Refused as refused:
            code, detail = refused.code, str(refused.__cause__ or "")
            raise
        finally:
            if form.get("Action") == "AssumeRoleWithWebIdentity":
                seen = Exchange(self._clock(), code, attempt.subject, attempt.audience, attempt.role, detail)
                with self._lock:
                    self._exchanges.append(seen)

    def _fault(self) -> None:
        with self._lock:
            code = "ServiceUnavailable" if self._outage else self._failures.pop(0) if self._failures else None
        if code is not None:
            status, message = _FAULTS[code]
            raise Refused(code, message, status)

    def _is_s3(self, request: Request) -> bool:
        if request.host.endswith(self._domain):
            return request.host.startswith("s3.") or self._virtual_bucket(request) is not None
        # By address the Host header says nothing; the signature names the service, and STS takes unsigned forms.
        try:
            return sigv4.read(request.headers.get("Authorization", "")).service == "s3"
        except sigv4.Malformed:
            return request.method != "POST" or request.path != "/"

    def _virtual_bucket(self, request: Request) -> str | None:
        suffix = f".s3.{self._region}.{self._domain}"
        return request.host.removesuffix(suffix) if request.host.endswith(suffix) else None
