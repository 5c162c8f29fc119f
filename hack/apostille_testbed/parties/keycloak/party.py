"""A real Keycloak on loopback, configured over its Admin REST API by the documents that were rendered for it."""

from __future__ import annotations

import base64
import http.client
import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from apostille_testbed.parties.keycloak import distribution, java
from apostille_testbed.parties.server import RawReply, RealServer

CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_ADMIN_SECONDS = 30.0  # of the 60 that an administrator's token lives
# What every realm has of its own.
_BUILT_IN = {"account", "account-console", "admin-cli", "broker", "realm-management", "security-admin-console"}


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

    @property
    def claims(self) -> dict[str, Any]:
        """What the access token says; not verified."""
        payload = self.body["access_token"].split(".")[1]
        decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return decoded


class KeycloakRefused(RuntimeError):
    """Keycloak refused a document that was to be applied; the message names it."""


class KeycloakParty(RealServer):
    """One Keycloak server with its own database; a realm is made by the first `apply` to it."""

    name = "keycloak"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._home = distribution.home(self.program, self.directory / "home")
        self._password = (self.program / distribution.PASSWORD_FILE).read_text()
        self._admin_token, self._admin_until = "", 0.0

    def issuer(self, realm: str) -> str:
        """A realm's issuer, which is the audience of what it accepts."""
        return f"{self.url}/realms/{realm}"

    def command(self) -> Sequence[str | Path]:
        """The server in its home folder."""
        options = [
            "start",
            "--optimized",
            # Nothing of a cluster: it would listen on every address.
            "--cache=local",
            # Seconds between two readings of an issuer's keys; 10 by default, which tests would wait for.
            "--spi-public-key-storage--infinispan--min-time-between-requests=1",
            f"--http-host={self.bind}",
            f"--https-port={self.port}",
            f"--https-certificate-file={self.certificate}",
            f"--https-certificate-key-file={self.key}",
            f"--hostname={self.url}",
        ]
        if self.site is not None:
            options.append(f"--truststore-paths={self.site.ca}")
        return [*java.command(self._home), *options]

    def ready(self) -> bool:
        """Whether it answers."""
        try:
            return self.request("GET", "/realms/master").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def apply(self, realm: str, files: Mapping[str, str], *, address: str = "") -> None:
        """Applies rendered documents to a realm, which is made where it does not exist.

        ``address`` is under which its clients know the server, where that is not `url`.

        ``identity-provider-ALIAS.json``, ``client-ID.json`` and ``user-NAME.json`` are bodies of the Admin REST API;
        what is not among them is deleted, but for what every realm has of its own. Raises KeycloakRefused.
        """
        if self.admin("GET", f"realms/{realm}").status == 404:
            attributes = {"frontendUrl": address} if address else {}
            self._must("POST", "realms", {"realm": realm, "enabled": True, "attributes": attributes}, realm)
        root = f"realms/{realm}"
        documents = {name.removesuffix(".json"): json.loads(text) for name, text in files.items() if ".json" in name}

        def named(prefix: str) -> dict[str, Any]:
            return {name: document for name, document in documents.items() if name.startswith(prefix)}

        have = {one["alias"]: one["alias"] for one in self._must("GET", f"{root}/identity-provider/instances")}
        self._align(f"{root}/identity-provider/instances", have, "alias", named("identity-provider-"))
        have = {one["clientId"]: one["id"] for one in self._must("GET", f"{root}/clients")}
        self._align(
            f"{root}/clients", {k: v for k, v in have.items() if k not in _BUILT_IN}, "clientId", named("client-")
        )
        have = {one["username"]: one["id"] for one in self._must("GET", f"{root}/users?max=1000")}
        users = named("user-")
        self._align(f"{root}/users", have, "username", users)
        self._link(root, users)

    def administer(self) -> dict[str, str]:
        """The environment in which its own command line, ``$KCADM``, is logged in as the administrator."""
        store, password = self.directory / "trust.p12", "changeit"
        if not store.exists():
            _quietly(
                java.program().with_name("keytool"), "-importcert", "-noprompt", "-file", self.ca, "-keystore", store,
                "-storepass", password,
            )  # fmt: skip
        environment = {
            "KCADM": str(self.program / distribution.COMMAND_LINE),
            "JAVA": str(java.program()),
            "KC_OPTS": f"{java.SHORT} -Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword={password}",
            "PATH": os.defpath,
            "HOME": str(self.directory),
        }
        # Each command is a JVM of its own: a slow machine needs more than the minute that a login lives by default.
        self._must("PUT", "realms/master", {"accessTokenLifespan": 3600})
        _quietly(
            environment["KCADM"], "config", "credentials", "--server", self.url, "--realm", "master",
            "--user", distribution.ADMINISTRATOR, environment=environment | {"KC_CLI_PASSWORD": self._password},
        )  # fmt: skip
        return environment

    def token(self, realm: str, form: Mapping[str, str]) -> Answer:
        """A request to the realm's token endpoint, as anybody sends it."""
        path = f"/realms/{realm}/protocol/openid-connect/token"
        return _answer(self.request("POST", path, urlencode(form), _FORM))

    def client_credentials(self, realm: str, assertion: str, **more: str) -> Answer:
        """The assertion as the client's authentication (RFC 7523 §2.2)."""
        form = {"grant_type": "client_credentials", "client_assertion_type": CLIENT_ASSERTION}
        return self.token(realm, {**form, "client_assertion": assertion, **more})

    def introspect(self, realm: str, token: str, assertion: str) -> Answer:
        """What it says of an access token (RFC 7662) to the client that the assertion authenticates."""
        form = {"token": token, "client_assertion_type": CLIENT_ASSERTION, "client_assertion": assertion}
        path = f"/realms/{realm}/protocol/openid-connect/token/introspect"
        return _answer(self.request("POST", path, urlencode(form), _FORM))

    def admin(self, method: str, path: str, body: Any = None) -> Answer:
        """One request to ``/admin/PATH`` as the administrator."""
        if time.monotonic() > self._admin_until:
            form = {"grant_type": "password", "client_id": "admin-cli", "username": distribution.ADMINISTRATOR}
            granted = self.token("master", {**form, "password": self._password})
            self._admin_token = granted.body["access_token"]
            self._admin_until = time.monotonic() + _ADMIN_SECONDS
        headers = {"Authorization": f"Bearer {self._admin_token}", "Content-Type": "application/json"}
        return _answer(self.request(method, f"/admin/{path}", None if body is None else json.dumps(body), headers))

    def _align(self, path: str, have: Mapping[str, str], key: str, wanted: Mapping[str, Any]) -> None:
        names = {document[key] for document in wanted.values()}
        # First what is to go: an issuer belongs to one provider at a time.
        for name, identity in have.items():
            if name not in names and not name.startswith("service-account-"):
                self._must("DELETE", f"{path}/{quote(identity, safe='')}", None, name)
        for file, document in sorted(wanted.items()):
            known = have.get(document[key])
            if known is None:
                self._must("POST", path, document, file)
            else:
                self._must("PUT", f"{path}/{quote(known, safe='')}", document, file)

    def _link(self, root: str, users: Mapping[str, Any]) -> None:
        # A PUT of a user leaves its links alone.
        for file, document in users.items():
            found = self._must("GET", f"{root}/users?exact=true&username={quote(document['username'], safe='')}")
            path = f"{root}/users/{found[0]['id']}/federated-identity"
            have = {one["identityProvider"]: one for one in self._must("GET", path)}
            for link in document.get("federatedIdentities", ()):
                alias = link["identityProvider"]
                if (before := have.get(alias)) and before["userId"] == link["userId"]:
                    continue
                if before:
                    self._must("DELETE", f"{path}/{alias}", None, file)
                self._must("POST", f"{path}/{alias}", link, file)

    def _must(self, method: str, path: str, body: Any = None, what: str = "") -> Any:
        answer = self.admin(method, path, body)
        if answer.status >= 300:
            raise KeycloakRefused(f"{what or path}: {answer.status} {answer.body}")
        return answer.body


def _quietly(*argv: str | Path, environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KeycloakRefused(f"{argv[0]}: {done.stdout}{done.stderr}")


def _answer(reply: RawReply) -> Answer:
    try:
        return Answer(reply.status, json.loads(reply.body) if reply.body else None)
    except ValueError:
        return Answer(reply.status, {"error": reply.body.decode(errors="replace")[:200]})
