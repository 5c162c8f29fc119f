"""A real Ory Hydra on loopback, configured over its admin API by the documents that were rendered for it."""

from __future__ import annotations

import base64
import http.client
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from apostille_testbed.parties.server import RawReply, RealServer

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_JSON = {"Content-Type": "application/json"}
_TRUST = "/admin/trust/grants/jwt-bearer/issuers"


_Trust = tuple[str, str, str, tuple[str, ...]]
"""Issuer, subject, key, scopes: a trust cannot be changed, only made anew."""


@dataclass(frozen=True)
class Answer:
    """A reply: status, and the decoded body."""

    status: int
    body: Any = field(repr=False)

    @property
    def error(self) -> str:
        """``error: error_description``, empty where it did not refuse."""
        if not isinstance(self.body, dict) or "error" not in self.body:
            return ""
        return f"{self.body['error']}: {self.body.get('error_description', '')}"


class HydraRefused(RuntimeError):
    """Hydra refused a document that was to be applied; the message names it."""


class HydraParty(RealServer):
    """One Hydra server; its state is in memory and goes with `stop`."""

    name = "hydra"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._admin = self.further_port()
        self._secret = secrets.token_urlsafe(32)

    @property
    def token_endpoint(self) -> str:
        """Where tokens are asked for, which is also the audience of what it accepts."""
        return f"{self.url}/oauth2/token"

    @property
    def admin_port(self) -> int:
        """The TCP port of its admin API, where services ask what a token is (RFC 7662)."""
        return self._admin.number

    def command(self) -> Sequence[str | Path]:
        """Both of its APIs."""
        return [self.program, "serve", "all", "--sqa-opt-out"]

    def environment(self) -> Mapping[str, str]:
        """Its configuration."""
        listeners = {
            f"SERVE_{api}_{name}": value
            for api, port in (("PUBLIC", self.port), ("ADMIN", self._admin.number))
            for name, value in {
                "HOST": self.bind,
                "PORT": str(port),
                "TLS_ENABLED": "true",
                "TLS_CERT_PATH": str(self.certificate),
                "TLS_KEY_PATH": str(self.key),
            }.items()
        }
        return listeners | {
            "DSN": "memory",
            "URLS_SELF_ISSUER": self.url,
            "SECRETS_SYSTEM": self._secret,
            "LOG_LEVEL": "info",
        }

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            return self.request("GET", "/health/ready").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def apply(self, files: Mapping[str, str]) -> None:
        """Applies rendered documents: ``client-ID.json`` and ``trust-….json`` are bodies of the admin API.

        What is not among them is deleted. Raises HydraRefused.
        """
        clients = {name: json.loads(text) for name, text in files.items() if name.startswith("client-")}
        have = {one["client_id"] for one in self._must("GET", "/admin/clients?page_size=500")}
        for stale in have - {document["client_id"] for document in clients.values()}:
            self._must("DELETE", f"/admin/clients/{quote(stale, safe='')}")
        for file, document in sorted(clients.items()):
            if document["client_id"] in have:
                self._must("PUT", f"/admin/clients/{quote(document['client_id'], safe='')}", document, file)
            else:
                self._must("POST", "/admin/clients", document, file)
        wanted = {
            _trusts(document): (file, document)
            for file, document in ((name, json.loads(text)) for name, text in files.items() if "trust-" in name)
        }
        for key, identity in self._trusted().items():
            # Hydra deletes the key too, and with the key what else was trusted by it: some are gone already.
            if key not in wanted and self.admin("DELETE", f"{_TRUST}/{identity}").status not in (204, 404):
                raise HydraRefused(f"{identity} is not deleted")
        there = self._trusted()
        for key, (file, document) in wanted.items():
            if key not in there:
                self._must("POST", _TRUST, document, file)

    def exchange(self, assertion: str, client: tuple[str, str] | str, **more: str) -> Answer:
        """The assertion as a grant (RFC 7523 §2.1); ``client`` is a public client's id, or id and secret."""
        form = {"grant_type": JWT_BEARER, "assertion": assertion, **more}
        if isinstance(client, str):
            return self.token({**form, "client_id": client})
        basic = base64.b64encode(":".join(client).encode()).decode()
        return self.token(form, {"Authorization": f"Basic {basic}"})

    def token(self, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Answer:
        """A request to the token endpoint, as anybody sends it."""
        return _answer(self.request("POST", "/oauth2/token", urlencode(form), {**_FORM, **(headers or {})}))

    def introspect(self, token: str) -> dict[str, Any]:
        """What it says of one of its tokens (RFC 7662)."""
        body = urlencode({"token": token})
        reply = self.request("POST", "/admin/oauth2/introspect", body, _FORM, port=self._admin.number)
        found: dict[str, Any] = json.loads(reply.body)
        return found

    def admin(self, method: str, path: str, body: Any = None) -> Answer:
        """One request to the admin API."""
        text = None if body is None else json.dumps(body)
        return _answer(self.request(method, path, text, _JSON, port=self._admin.number))

    def _trusted(self) -> dict[_Trust, str]:
        return {_trusts(one): one["id"] for one in self._must("GET", f"{_TRUST}?limit=500")}

    def _must(self, method: str, path: str, body: Any = None, what: str = "") -> Any:
        answer = self.admin(method, path, body)
        if answer.status >= 300:
            raise HydraRefused(f"{what or path}: {answer.status} {answer.body}")
        return answer.body


def _trusts(document: Mapping[str, Any]) -> _Trust:
    key = document.get("public_key") or document.get("jwk") or {}
    scopes = tuple(sorted(document.get("scope") or ()))
    return document.get("issuer", ""), document.get("subject", ""), key.get("kid", ""), scopes


def _answer(reply: RawReply) -> Answer:
    try:
        return Answer(reply.status, json.loads(reply.body) if reply.body else None)
    except ValueError:
        return Answer(reply.status, {"error": reply.body.decode(errors="replace")[:200]})
