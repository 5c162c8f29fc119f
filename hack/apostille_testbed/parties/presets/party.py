"""A strict token endpoint of one of these services, by the documents that were rendered for it."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from apostille_testbed.parties import jws
from apostille_testbed.parties.presets.judge import SKEW, VENDORS, Refused
from apostille_testbed.parties.serving import Reply, Request, Server
from apostille_testbed.parties.tls import Authority

Keys = Callable[[], Sequence[Mapping[str, Any]]]
"""The issuer's keys now, as its key set has them."""


class PresetParty:
    """One service: ``anthropic``, ``openai`` or ``kernel``. Every refusal says ``invalid_grant`` and no more.

    ``record`` has the outcome of every request, with the reason that the caller is not told.
    """

    def __init__(self, vendor: str, keys: Keys) -> None:
        self._vendor, self._keys = VENDORS[vendor], keys
        self._directory = Path(tempfile.mkdtemp(prefix=f"apostille-{vendor}-"))
        authority = Authority(self._directory)
        self.ca = authority.pem
        """The PEM file that its clients must trust."""
        self._server = Server(self._answer, authority.server(["127.0.0.1"]), "127.0.0.1")
        self._documents: dict[str, Any] = {}
        self._seen: set[str] = set()
        self._lock = threading.Lock()
        self.record: list[str] = []

    @property
    def endpoint(self) -> str:
        """Where tokens are asked for."""
        return f"https://127.0.0.1:{self._server.port}{self._vendor.path}"

    def start(self) -> None:
        """Begins to answer."""
        self._server.start()

    def close(self) -> None:
        """Stops for good and removes what it wrote."""
        self._server.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def apply(self, files: Mapping[str, str], rules: Mapping[str, str]) -> None:
        """Takes rendered documents; ``rules`` are the ids that the service gave, by the document's name."""
        documents = {name: json.loads(text) for name, text in files.items()}
        for name, identity in rules.items():
            documents[name]["id"] = identity
        self._documents = documents

    def _answer(self, request: Request) -> Reply:
        try:
            seconds = self._judge(request)
        except Refused as refused:
            self.record.append(str(refused))
            return _json(refused.status, {"error": refused.code})
        self.record.append("granted")
        granted = {"access_token": f"token-{secrets.token_urlsafe(24)}", "expires_in": seconds}
        # The clients of the others read no more than these two; who takes forms answers as RFC 6749 §5.1 has it.
        return _json(200, granted if self._vendor.as_json else {**granted, "token_type": "Bearer"})

    def _judge(self, request: Request) -> int:
        if (request.method, request.path, request.query) != ("POST", self._vendor.path, ""):
            raise Refused("invalid_request", "not the endpoint", 404)
        if "Authorization" in request.headers:
            raise Refused("invalid_request", "there is no client authentication")
        if self._vendor.beta and self._vendor.beta not in request.headers.get("anthropic-beta", "").split(","):
            raise Refused("invalid_request", "the feature is not asked for")
        asked = self._asked(request)
        self._vendor.check(asked)
        now = int(time.time())
        try:
            token = jws.parse(asked[self._vendor.assertion])
        except jws.Malformed as error:
            raise Refused("invalid_grant", str(error)) from None
        self._verify(token, now)
        seconds = self._vendor.judge(self._documents, asked, token, now)
        self._once(token)
        return seconds

    def _asked(self, request: Request) -> dict[str, str]:
        kind = request.headers.get("Content-Type", "").partition(";")[0]
        if self._vendor.as_json:
            if kind != "application/json":
                raise Refused("invalid_request", "not JSON")
            document = json.loads(request.body)
            if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
                raise Refused("invalid_request", "not an object of texts")
            return document
        if kind != "application/x-www-form-urlencoded":
            raise Refused("invalid_request", "not a form")
        pairs = parse_qsl(request.body.decode(), strict_parsing=True)
        if len(dict(pairs)) < len(pairs):
            raise Refused("invalid_request", "a parameter is repeated")
        return dict(pairs)

    def _verify(self, token: jws.Token, now: int) -> None:
        algorithm, kid = token.header.get("alg"), token.header.get("kid")
        if algorithm not in jws.ALGORITHMS or not isinstance(kid, str):
            raise Refused("invalid_grant", "the algorithm is not asymmetric, or there is no key id")
        keys = [key for key in self._keys() if key["kid"] == kid]
        if not jws.verifies(token, str(algorithm), keys):
            raise Refused("invalid_grant", "the signature is not the issuer's")
        if not isinstance(token.claims.get("exp"), int) or token.claims["exp"] + SKEW <= now:
            raise Refused("invalid_grant", "the token has ended")
        if max(token.claims.get("nbf", 0), token.claims.get("iat", 0)) - SKEW > now:
            raise Refused("invalid_grant", "the token is not valid yet")
        if not token.claims.get("sub") or "aud" not in token.claims or "iss" not in token.claims:
            raise Refused("invalid_grant", "a claim is missing")

    def _once(self, token: jws.Token) -> None:
        if not self._documents.get("provider.json", {}).get("check_jti"):
            return
        with self._lock:
            if token.claims.get("jti") in self._seen:
                raise Refused("invalid_grant", "the token was used")
            self._seen.add(str(token.claims.get("jti")))


def _json(status: int, members: Mapping[str, object]) -> Reply:
    return Reply(status, json.dumps(members).encode(), {"Content-Type": "application/json"})
