"""What a trust and a binding say about an OAuth token service."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct, field
from msgspec.structs import fields

from apostille.model.fields import ATOMIC, doc
from apostille.parties.oauth.profiles import KINDS, Kind, Profile

TARGET_NAME = "^[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?$"
TargetName = Annotated[str, Meta(pattern=TARGET_NAME, max_length=64)]

_ENDPOINT = r"^$|^https://[^/?#@\s]+(/[A-Za-z0-9._~/-]*)?$"
_ID = "^[A-Za-z0-9_-]*$"
_TEXT = r"^[!-~]*$"
_SCOPE = r"^[!#-\[\]-~]+$"


def _id(name: str, what: str) -> Meta:
    return doc(f"{name} {what}", max_length=128, pattern=_ID)


class OAuthIdentity(Struct, frozen=True, forbid_unknown_fields=True):
    """What one target is at the service; which fields there are is the profile's."""

    name: Annotated[TargetName, doc("name of the target, as bindings and spec.allow name it.")]
    client_id: Annotated[
        str, doc("clientID is the client that asks; it needs no secret.", max_length=256, pattern=_TEXT)
    ] = field(name="clientID", default="")
    scopes: Annotated[
        tuple[Annotated[str, doc("A scope.", max_length=256, pattern=_SCOPE)], ...],
        doc("scopes are asked for; a token with more is refused.", max_length=32),
        ATOMIC,
    ] = ()
    audience: Annotated[
        str, doc("audience is the service that the access token is for (RFC 8693).", max_length=1024, pattern=_TEXT)
    ] = ""
    resource: Annotated[
        str, doc("resource is the URI that the access token is for (RFC 8707).", max_length=1024, pattern=_TEXT)
    ] = ""
    rule_id: Annotated[str, _id("ruleID", "is the service's rule that lets the workload in.")] = field(
        name="ruleID", default=""
    )
    service_account_id: Annotated[str, _id("serviceAccountID", "is the service's own account.")] = field(
        name="serviceAccountID", default=""
    )
    workspace_id: Annotated[str, _id("workspaceID", "is the workspace that the token is for.")] = field(
        name="workspaceID", default=""
    )
    project_id: Annotated[str, _id("projectID", "is the project of the account.")] = field(name="projectID", default="")


class OAuthTrust(Struct, frozen=True, forbid_unknown_fields=True):
    """The token service that accepts this cluster's tokens, and what its targets are there."""

    profile: Annotated[
        Profile,
        doc(
            "profile says how the service is asked: TokenExchange (RFC 8693), JWTBearer and ClientAssertion (RFC 7523 "
            "as grant and as client authentication), TokenOnly (nothing is exchanged, the application presents the "
            "token), or a service with a way of its own."
        ),
    ]
    targets: Annotated[
        tuple[OAuthIdentity, ...],
        doc("targets are the identities that there are.", min_length=1, max_length=64),
        ATOMIC,
    ]
    token_endpoint: Annotated[
        str,
        doc(
            "tokenEndpoint is the https URL that tokens are sent to; the vendor's when omitted.",
            max_length=512,
            pattern=_ENDPOINT,
        ),
    ] = field(name="tokenEndpoint", default="")
    ca_bundle: Annotated[
        str,
        doc(
            "caBundle holds, in PEM, the authorities that may have signed the endpoint's certificate; the system's "
            "when omitted.",
            max_length=16384,
        ),
    ] = field(name="caBundle", default="")
    single_use: Annotated[
        bool,
        doc(
            "singleUse says that the service takes each assertion once: the sidecar then waits for the kubelet's next "
            "one. Hydra always does."
        ),
    ] = field(name="singleUse", default=False)
    pin_instances: Annotated[
        bool,
        doc(
            "pinInstances also binds the UIDs of the service accounts: one that was deleted and made anew under the "
            "same name is refused until the documents are applied again. Only with a profile that can."
        ),
    ] = field(name="pinInstances", default=False)
    organization_id: Annotated[str, _id("organizationID", "is the organization, with Anthropic.")] = field(
        name="organizationID", default=""
    )
    identity_provider_id: Annotated[str, _id("identityProviderID", "is the cluster there, with OpenAI.")] = field(
        name="identityProviderID", default=""
    )

    @property
    def kind(self) -> Kind:
        """The profile as data."""
        return KINDS[self.profile]

    @property
    def endpoint(self) -> str:
        """Where tokens are sent to."""
        return self.token_endpoint or self.kind.endpoint

    @property
    def once(self) -> bool:
        """Whether the service takes each assertion once."""
        return self.single_use or self.kind.always_single_use

    def identity(self, name: str) -> OAuthIdentity | None:
        """The declared target of this name."""
        return next((one for one in self.targets if one.name == name), None)


class OAuthTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """Which of the trust's targets the workload is."""

    name: Annotated[TargetName, doc("name is the name of one of the trust's targets.")]


def value(declared: Struct, name: str) -> str:
    """A field by its name in the declaration, as the wire has it."""
    python = {one.encode_name: one.name for one in fields(declared)}[name]
    found = getattr(declared, python)
    return " ".join(found) if isinstance(found, tuple) else str(found or "")


def is_target_name(name: str) -> bool:
    """Whether a target in ``spec.allow`` can be a target's name."""
    return re.fullmatch(TARGET_NAME[1:-1], name) is not None
