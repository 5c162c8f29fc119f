"""What every OAuth token endpoint is asked alike; how each differs is data, in the modules that subclass it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from apostille_exchange import errors
from apostille_exchange.assertion import Assertion
from apostille_exchange.credential import Credential
from apostille_exchange.grants import oauth
from apostille_exchange.grants.grant import Ask, Grant, Site
from apostille_exchange.grants.json_reply import Words
from apostille_exchange.messages import Reply, Request
from apostille_exchange.recipe import Admission, RecipeError

REVOCATION = "revocation"
SINGLE_USE = "singleUse"
CLIENT_ASSERTION = "clientAssertion"
TRUE = "true"

SCOPE = r"[!#-\[\]-~]+( [!#-\[\]-~]+)*"  # RFC 6749 §3.3
TEXT = r"[!-~]{1,1024}"

# Words of servers about the assertion (cloud-trust §10, §20; servers.md §3, §5) → (reason, permanent).
WORDS: Words = (
    ("jti_known", errors.ASSERTION_USED, False),
    ("jti was already used", errors.ASSERTION_USED, False),
    ("token reuse detected", errors.ASSERTION_USED, False),
    ("audience", errors.AUDIENCE_MISMATCH, True),
    ("not active", errors.TOKEN_EXPIRED, True),
    ("parameter expired", errors.TOKEN_EXPIRED, True),
    ("token is expired", errors.TOKEN_EXPIRED, True),
    ("too far in the past", errors.TOKEN_EXPIRED, True),
    ("no identity provider for provided issuer", errors.ISSUER_UNKNOWN, True),
    ("invalid signature", errors.SIGNATURE_INVALID, True),
    ("integrity of the 'assertion'", errors.SIGNATURE_INVALID, True),
    ("user not found", errors.SUBJECT_MISMATCH, True),
)


@dataclass(frozen=True, slots=True)
class Wire:
    """How one kind of token endpoint is asked.

    ``assertion`` is the parameter that carries the assertion, ``fixed`` are those that are always the same;
    ``parameters``: a recipe's → (its name on the wire, what it must match, whether it must be there); ``frozen``: an
    admission's setting, which must be there → its name on the wire. ``authenticates``: an admission may say that the
    assertion is the client's authentication too; ``revokes``: it may have an endpoint for revocation.
    """

    grant_type: str
    assertion: str
    parameters: Mapping[str, tuple[str, str, bool]]
    fixed: Mapping[str, str] = field(default_factory=dict)
    frozen: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    as_json: bool = False
    issued_types: Sequence[str] | None = None
    token_types: Sequence[str] = ("bearer",)
    authenticates: bool = False
    revokes: bool = False


class TokenEndpoint(Grant):
    """One POST of the assertion; a token reply back."""

    wire: Wire

    def __init__(self) -> None:
        authentication = {CLIENT_ASSERTION: False} if self.wire.authenticates else {}
        self.settings = {SINGLE_USE: False, **authentication, **dict.fromkeys(self.wire.frozen, True)}
        self.endpoints = {REVOCATION: False} if self.wire.revokes else {}

    def admit(self, admission: Admission, where: str = "admission") -> None:
        """Whether assertions are of single use, and credentials can be taken back, is the admission's to say."""
        super().admit(admission, where)
        for name in (SINGLE_USE, CLIENT_ASSERTION):
            if admission.settings.get(name, TRUE) != TRUE:
                raise RecipeError(f"{where}.settings.{name}: must be {TRUE} where it is given")
        self.single_use = SINGLE_USE in admission.settings
        self.revocable = REVOCATION in admission.endpoints

    def check(self, parameters: Mapping[str, str], where: str) -> None:
        """By the grant's own table."""
        for name, (_, pattern, needed) in self.wire.parameters.items():
            value = parameters.get(name, "")
            if not value and not needed and name not in parameters:
                continue
            if not re.fullmatch(pattern, value, re.ASCII):
                raise RecipeError(f"{where}.{name}: {'is missing' if not value else 'is malformed'}")
        if unknown := sorted(set(parameters) - set(self.wire.parameters)):
            raise RecipeError(f"{where}.{unknown[0]}: not known to this version")

    def request(self, ask: Ask) -> Request:
        """The grant's type, the assertion, what the recipe asks for."""
        fields = {"grant_type": self.wire.grant_type, **self.wire.fixed, self.wire.assertion: ask.assertion.token}
        for name, wire in self.wire.frozen.items():
            fields[wire] = ask.site.admission.settings[name]
        for name, (wire, _, _) in self.wire.parameters.items():
            if name in ask.parameters:
                fields[wire] = ask.parameters[name]
        fields |= self._authentication(ask.site, ask.assertion)
        return Request(ask.site.endpoint, fields, self.wire.headers, as_json=self.wire.as_json)

    def read(self, reply: Reply, ask: Ask) -> Credential:
        """Values: ``token``."""
        return oauth.credential(
            reply,
            ask.assertion,
            scope=ask.parameters.get("scope", ""),
            issued_types=self.wire.issued_types,
            token_types=self.wire.token_types,
            words=WORDS,
        )

    def revocation(self, site: Site, credential: Credential, assertion: Assertion | None) -> Request:
        """RFC 7009 §2.1."""
        fields = {"token": credential.values["token"], "token_type_hint": "access_token"}
        if assertion is not None:
            fields |= self._authentication(site, assertion)
        return Request(site.endpoints[REVOCATION], fields)

    def revoked(self, reply: Reply, credential: Credential) -> None:
        """200, also for what is no more."""
        oauth.revoked(reply, credential.values["token"])

    def _authentication(self, site: Site, assertion: Assertion) -> dict[str, str]:
        """The assertion as the client's own (RFC 7523 §2.2), where the admission says so."""
        if CLIENT_ASSERTION not in site.admission.settings:
            return {}
        return {"client_assertion_type": oauth.CLIENT_ASSERTION, "client_assertion": assertion.token}
