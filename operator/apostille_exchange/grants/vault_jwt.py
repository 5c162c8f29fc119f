"""Vault's JWT auth method (cloud-trust §6.3): a login with the assertion; its token renews and revokes itself."""

from __future__ import annotations

import re
from collections.abc import Mapping

from apostille_exchange import errors
from apostille_exchange.assertion import Assertion
from apostille_exchange.credential import Credential
from apostille_exchange.errors import ExchangeError, quoted
from apostille_exchange.grants import json_reply
from apostille_exchange.grants.grant import Ask, Grant, Site
from apostille_exchange.messages import Endpoint, Reply, Request
from apostille_exchange.recipe import RecipeError

_ROLE = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}", re.ASCII)
_TOKEN = re.compile(r"[!-~]{8,4096}")
_ACCESSOR = re.compile(r"[!-~]{0,4096}")
# A renewal that yields less than this part of what was granted at first is at its ceiling: time for a new login.
_WORTH = 0.5

# Vault's words in an error (all but the last two with status 400) → (reason, permanent).
_WORDS = (
    ("invalid issuer (iss)", errors.ISSUER_UNKNOWN, True),
    ("invalid audience (aud)", errors.AUDIENCE_MISMATCH, True),
    ("no audiences bound", errors.AUDIENCE_MISMATCH, True),
    ("invalid subject (sub)", errors.CONDITION_REJECTED, True),
    ("error validating claims", errors.CONDITION_REJECTED, True),
    ("token is expired", errors.TOKEN_EXPIRED, True),
    ("error verifying token signature", errors.SIGNATURE_INVALID, True),
    ("invalid algorithm", errors.SIGNATURE_INVALID, True),
    ("fetching keys", errors.KEY_UNAVAILABLE, False),
    ("oidc discovery", errors.KEY_UNAVAILABLE, False),
    ("could not be found", errors.MISCONFIGURED, True),
    ("could not load configuration", errors.MISCONFIGURED, True),
    ("role_type is not allowed", errors.MISCONFIGURED, True),
    ("no handler for route", errors.MISCONFIGURED, True),
    ("permission denied", errors.CONDITION_REJECTED, True),
)


class VaultJWT(Grant):
    """Parameters: ``role``. The admission's endpoint is the method's ``login``; the token's own calls lie beside it."""

    shortest_seconds = 60
    renewable = True
    revocable = True

    def check(self, parameters: Mapping[str, str], where: str) -> None:
        """Names of roles in lower case, as Vault keeps them."""
        if not _ROLE.fullmatch(parameters.get("role", "")):
            raise RecipeError(f"{where}.role: must be the name of a role in lower case")
        if unknown := sorted(set(parameters) - {"role"}):
            raise RecipeError(f"{where}.{unknown[0]}: not known to this version")

    def request(self, ask: Ask) -> Request:
        """The login; how long the token lives is the role's to say."""
        return Request(ask.site.endpoint, {"role": ask.parameters["role"], "jwt": ask.assertion.token})

    def read(self, reply: Reply, ask: Ask) -> Credential:
        """Values: ``token``."""
        if reply.status != 200:
            raise _refusal(reply, ask.assertion.token)
        auth = _auth(reply)
        metadata = auth.get("metadata")
        if not isinstance(metadata, dict) or metadata.get("role") != ask.parameters["role"]:
            raise ExchangeError(errors.BAD_REPLY, "the reply is for another role than the one that was asked for")
        policies = auth.get("policies")
        if not isinstance(policies, list) or "root" in policies:
            raise ExchangeError(errors.BAD_REPLY, "the reply's token could do anything", permanent=True)
        return _credential(auth, reply)

    def renewal(self, site: Site, credential: Credential) -> Request:
        """renew-self."""
        return _own(site.endpoint, "renew-self", credential)

    def renewed(self, reply: Reply, credential: Credential) -> Credential | None:
        """The same token, for longer."""
        if reply.status != 200:
            raise _refusal(reply, credential.values["token"])
        found = _credential(_auth(reply), reply)
        if found.values != credential.values:
            raise ExchangeError(errors.BAD_REPLY, "the reply is for another token than the one that was renewed")
        if found.lease < credential.lease * _WORTH:
            return None
        return Credential(found.values, found.expires, found.public, credential.lease)

    def revocation(self, site: Site, credential: Credential, assertion: Assertion | None) -> Request:
        """revoke-self."""
        return _own(site.endpoint, "revoke-self", credential)

    def revoked(self, reply: Reply, credential: Credential) -> None:
        """204; 403 says that the token is no more."""
        if reply.status not in (200, 204, 403):
            raise _refusal(reply, credential.values["token"])


def _own(to: Endpoint, call: str, credential: Credential) -> Request:
    # No namespace of Vault's may be called auth, so what is before the first one is the API's root.
    root, separator, _ = to.path.partition("/auth/")
    if not separator:
        raise ExchangeError(errors.MISCONFIGURED, "the endpoint is no auth method's login", permanent=True)
    return Request(
        Endpoint(to.host, to.port, f"{root}/auth/token/{call}"), {}, {"X-Vault-Token": credential.values["token"]}
    )


def _auth(reply: Reply) -> dict[str, object]:
    auth = json_reply.members(reply).get("auth")
    if not isinstance(auth, dict):
        raise ExchangeError(errors.BAD_REPLY, "the reply has no auth", status=reply.status)
    return auth


def _credential(auth: Mapping[str, object], reply: Reply) -> Credential:
    token, accessor, seconds = auth.get("client_token"), auth.get("accessor"), auth.get("lease_duration")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise ExchangeError(errors.BAD_REPLY, "the reply holds no Vault token")
    if not isinstance(accessor, str) or not _ACCESSOR.fullmatch(accessor):
        raise ExchangeError(errors.BAD_REPLY, "the reply has no accessor")
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds <= 0:
        raise ExchangeError(errors.BAD_REPLY, "the reply's token has no end")
    if auth.get("token_type") != "service":
        raise ExchangeError(
            errors.BAD_REPLY, "the reply's token is of a kind that cannot be taken back", permanent=True
        )
    return Credential({"token": token}, reply.received + seconds, accessor, float(seconds))


def _refusal(reply: Reply, secret: str) -> ExchangeError:
    told = json_reply.refusal_members(reply).get("errors")
    message = "; ".join(str(line) for line in told) if isinstance(told, list) else ""
    status = 503 if reply.status in (412, 472, 473) else reply.status  # sealed, standby, behind its primary
    reason, permanent = json_reply.reason(status, message, _WORDS)
    return ExchangeError(reason, quoted(message, secret), permanent=permanent, status=reply.status)
