"""A real MinIO on loopback, configured by the documents that were rendered for it."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import secrets
import shutil
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from apostille_testbed import pki, processes
from apostille_testbed.parties.issuers import IssuerSite
from apostille_testbed.parties.programs import program
from apostille_testbed.ports import ListenerPort
from apostille_testbed.progress import Say

_START_SECONDS = 60.0
_REGION = "us-east-1"
_SECRET = "MINIO_IDENTITY_OPENID_CLIENT_SECRET"


@dataclass(frozen=True)
class Answer:
    """A reply of STS: status, and the XML."""

    status: int
    text: str = field(repr=False)

    @property
    def message(self) -> str:
        """MinIO's own words, empty where it did not refuse."""
        return self.element("Message")

    def element(self, name: str) -> str:
        """The text of an XML element, empty where there is none."""
        found = re.search(f"<{name}>([^<]*)</{name}>", self.text)
        return found[1].replace("&#34;", '"').replace("&#39;", "'") if found else ""


class MinIORefused(RuntimeError):
    """MinIO refused a document that was to be applied; the message names it."""


class MinIOParty:
    """One MinIO server with its own authority, storage and root credentials.

    Args:
        site: where it reads issuers' documents.
        directory: where all its files are; a temporary one, removed by `close`, when left out.
        bind: the IPv4 address to listen on.
        port: the TCP port; 0 takes a free one, which is kept until `close`.
        hosts: names that its certificate is valid for besides loopback.
        say: takes lines of progress when MinIO must be built.
    """

    def __init__(
        self,
        *,
        site: IssuerSite | None = None,
        directory: Path | None = None,
        bind: str = "127.0.0.1",
        port: int = 0,
        hosts: Sequence[str] = ("minio.example",),
        say: Say | None = None,
    ) -> None:
        self._program = program("minio", say)
        self._temporary = None if directory else Path(tempfile.mkdtemp(prefix="apostille-minio-"))
        self._directory = directory or self._temporary or Path()
        self._site, self._hosts, self._bind, self._given = site, tuple(hosts), bind, port
        self._port = ListenerPort()
        authority = pki.Authority(self._directory / "pki", "minio-ca")
        self.ca = authority.certificate
        self._tls = ssl.create_default_context(cafile=str(self.ca))
        certificate, key = authority.server("minio", [bind, "localhost", *hosts])
        certificates = self._directory / "certs"
        (certificates / "CAs").mkdir(parents=True, exist_ok=True)
        shutil.copy(certificate, certificates / "public.crt")
        shutil.copy(key, certificates / "private.key")
        if site is not None:
            shutil.copy(site.ca, certificates / "CAs" / "issuers.crt")
        self._root = Credentials("root", secrets.token_urlsafe(24))
        # Its own: what a session has read of botocore's models serves all its clients.
        self._session = boto3.session.Session()
        self._openid: dict[str, str] = {}
        self._process: processes.Process | None = None

    @property
    def port(self) -> int:
        """Its TCP port, the same after `stop` and `start`."""
        return self._given or self._port.number

    @property
    def url(self) -> str:
        """Its address, for ``AWS_ENDPOINT_URL_STS`` and ``AWS_ENDPOINT_URL_S3``."""
        return f"https://{self._bind}:{self.port}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names by which pods may know it."""
        return self._hosts

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return (self._directory / "minio.log").read_text(errors="replace")

    def start(self) -> None:
        """Starts the server; returns when it can judge identities."""
        if self._process is not None:
            return
        (self._directory / "data").mkdir(exist_ok=True)
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self._directory),
            "MINIO_ROOT_USER": self._root.access_key,
            "MINIO_ROOT_PASSWORD": self._root.secret_key,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
            **(self._site.environment if self._site else {}),
            **self._openid,
        }
        self._process = processes.start(
            "minio",
            [
                self._program,
                "server",
                "--quiet",
                f"--address={self._bind}:{self.port}",
                f"--certs-dir={self._directory / 'certs'}",
                self._directory / "data",
            ],
            self._directory,
            env=environment,
            ready=self._ready,
            timeout=_START_SECONDS,
            keep_log=True,
        )

    def stop(self) -> None:
        """Kills the server; state and port stay."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def close(self) -> None:
        """Stops for good and removes what it wrote."""
        self.stop()
        self._port.close()
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def apply(self, files: Mapping[str, str], *, client_secret: str | None = None) -> None:
        """Applies rendered documents; a changed ``openid.env`` restarts the server, as it would a real one.

        ``openid.env`` holds lines ``NAME=value`` for its environment, ``policies.json`` policies by name; policies
        that are not among them are removed. Raises MinIORefused.

        Args:
            client_secret: key of symmetric signatures, by which nobody signs; default: a long random one.
        """
        lines = (line for line in files["openid.env"].splitlines() if line and not line.startswith("#"))
        wanted = dict(line.split("=", 1) for line in lines)
        if (
            wanted != {name: value for name, value in self._openid.items() if name != _SECRET}
            or client_secret is not None
        ):
            secret = secrets.token_urlsafe(48) if client_secret is None else client_secret
            # A secret alone would be taken for a provider without a URL.
            self._openid = {**wanted, _SECRET: secret} if wanted else {}
            self.stop()
            self.start()
        policies = json.loads(files["policies.json"])
        for name, document in policies.items():
            self._admin("PUT", f"add-canned-policy?name={quote(name, safe='')}", json.dumps(document).encode(), name)
        for stale in self._custom_policies() - set(policies):
            self._admin("DELETE", f"remove-canned-policy?name={quote(stale, safe='')}", b"", stale)

    def create_bucket(self, name: str, objects: Mapping[str, bytes] | None = None) -> None:
        """Makes a bucket, or adds ``objects`` (key to content) to it."""
        client = self.s3(self._root)
        with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
            client.create_bucket(Bucket=name)
        for key, content in (objects or {}).items():
            client.put_object(Bucket=name, Key=key, Body=content)

    def s3(self, credentials: Credentials) -> Any:
        """An S3 client with these credentials."""
        return self._session.client(
            "s3",
            endpoint_url=self.url,
            region_name=_REGION,
            verify=str(self.ca),
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            aws_session_token=credentials.token,
            config=Config(retries={"max_attempts": 1}, proxies={}),
        )

    def exchange(self, assertion: str, **parameters: str) -> Answer:
        """AssumeRoleWithWebIdentity, as an SDK sends it; ``parameters`` such as ``RoleArn`` go along."""
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleSessionName": "test",
            "WebIdentityToken": assertion,
            **parameters,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Answer(*self._call("POST", "/", urlencode(form).encode(), headers))

    def credentials(self, answer: Answer) -> Credentials:
        """What STS gave. Raises MinIORefused."""
        if answer.status != 200:
            raise MinIORefused(answer.message)
        return Credentials(*(answer.element(name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")))

    def _custom_policies(self) -> set[str]:
        builtin = {"consoleAdmin", "diagnostics", "readonly", "readwrite", "writeonly"}
        return set(json.loads(self._admin("GET", "list-canned-policies", b"", "policies"))) - builtin

    def _admin(self, method: str, call: str, body: bytes, what: str) -> str:
        request = AWSRequest(method, f"{self.url}/minio/admin/v3/{call}", data=body)
        S3SigV4Auth(self._root, "s3", _REGION).add_auth(request)
        path = f"/minio/admin/v3/{call}"
        status, text = self._call(method, path, body, dict(request.headers.items()))
        if status >= 300:
            raise MinIORefused(f"{what}: {status} {text.strip()[:500]}")
        return text

    def _call(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        connection = http.client.HTTPSConnection(self._bind, self.port, timeout=30, context=self._tls)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def _ready(self) -> bool:
        # Live long before it has read the issuer's keys; until then STS answers that it is not initialised.
        try:
            if self._call("GET", "/minio/health/live", b"", {})[0] != 200:
                return False
            return (
                "XMinioServerNotInitialized" not in (text := self.exchange("x").text) and "NotInitialized" not in text
            )
        except (OSError, http.client.HTTPException):
            return False
