"""A real MinIO on loopback, configured by the documents that were rendered for it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
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

from apostille_testbed.parties.programs import program
from apostille_testbed.parties.server import RealServer

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


class MinIOParty(RealServer):
    """One MinIO server with its own storage and root credentials."""

    name = "minio"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        certificates = self.directory / "certs"
        (certificates / "CAs").mkdir(parents=True, exist_ok=True)
        shutil.copy(self.certificate, certificates / "public.crt")
        shutil.copy(self.key, certificates / "private.key")
        if self.site is not None:
            shutil.copy(self.site.ca, certificates / "CAs" / "issuers.crt")
        (self.directory / "data").mkdir(exist_ok=True)
        self._root = Credentials("root", secrets.token_urlsafe(24))
        # Its own: what a session has read of botocore's models serves all its clients.
        self._session = boto3.session.Session()
        self._openid: dict[str, str] = {}

    def command(self) -> Sequence[str | Path]:
        """The server with its storage."""
        return [
            self.program,
            "server",
            "--quiet",
            f"--address={self.bind}:{self.port}",
            f"--certs-dir={self.directory / 'certs'}",
            self.directory / "data",
        ]

    def environment(self) -> Mapping[str, str]:
        """Root credentials and the OpenID provider."""
        return {
            "MINIO_ROOT_USER": self._root.access_key,
            "MINIO_ROOT_PASSWORD": self._root.secret_key,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
            **self._openid,
        }

    def ready(self) -> bool:
        """Whether it can judge identities."""
        # Live long before it has read the issuer's keys; until then STS answers that it is not initialised.
        try:
            if self._call("GET", "/minio/health/live", b"", {})[0] != 200:
                return False
            return (
                "XMinioServerNotInitialized" not in (text := self.exchange("x").text) and "NotInitialized" not in text
            )
        except (OSError, http.client.HTTPException):
            return False

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

    def administer(self) -> dict[str, str]:
        """The environment in which MinIO's own command line, ``mc``, knows it as ``$MC_ALIAS``, with root's rights."""
        root = f"{self._root.access_key}:{self._root.secret_key}"
        return {
            "PATH": f"{program('mc').parent}:{os.defpath}",
            "MC_ALIAS": "site",
            "MC_HOST_site": f"https://{root}@{self.bind}:{self.port}",
            "MC_CONFIG_DIR": str(self.directory / "mc"),
            "SSL_CERT_FILE": str(self.ca),
        }

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
        reply = self.request(method, path, body, headers)
        return reply.status, reply.body.decode()
