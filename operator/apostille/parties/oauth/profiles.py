"""The kinds of token services, as data: what each is asked with, what it must be told, what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Profile = Literal[
    "TokenExchange", "JWTBearer", "ClientAssertion", "TokenOnly", "Hydra", "Anthropic", "OpenAI", "Kernel"
]


@dataclass(frozen=True, slots=True)
class Kind:
    """One profile.

    ``grant`` is the sidecar's, empty where nothing is exchanged; ``endpoint`` the vendor's, empty where the trust names
    it. ``trust`` and ``target``: fields of the declaration that it uses → whether it needs them. ``parameters``: the
    grant's → the target's field. ``settings``: the grant's → the trust's field. ``static_credentials`` are variables
    that the service's own SDK prefers over a federated identity.
    """

    grant: str
    endpoint: str = ""
    audience: str = ""
    trust: Mapping[str, bool] = field(default_factory=dict)
    target: Mapping[str, bool] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    always_single_use: bool = False
    pins: bool = False
    static_credentials: tuple[str, ...] = ()


_ENDPOINT = {"tokenEndpoint": True, "caBundle": False, "singleUse": False}
_OPTIONAL_ENDPOINT = {"tokenEndpoint": False, "caBundle": False, "singleUse": False}
_FULL = {"clientID": False, "scopes": False, "audience": False, "resource": False}
_FULL_PARAMETERS = {"clientID": "clientID", "scope": "scopes", "audience": "audience", "resource": "resource"}

KINDS: Mapping[Profile, Kind] = {
    "TokenExchange": Kind("TokenExchange", trust=_ENDPOINT, target=_FULL, parameters=_FULL_PARAMETERS),
    "JWTBearer": Kind(
        "JWTBearer",
        trust=_ENDPOINT,
        target={"clientID": False, "scopes": False},
        parameters={"clientID": "clientID", "scope": "scopes"},
    ),
    "ClientAssertion": Kind("ClientAssertion", trust=_ENDPOINT, target=_FULL, parameters=_FULL_PARAMETERS),
    # The application presents the token itself, to a service that takes it as it is.
    "TokenOnly": Kind(""),
    "Hydra": Kind(
        "JWTBearer",
        trust={"tokenEndpoint": True, "caBundle": False},
        target={"clientID": True, "scopes": True},
        parameters={"clientID": "clientID", "scope": "scopes"},
        always_single_use=True,
    ),
    "Anthropic": Kind(
        "Anthropic",
        endpoint="https://api.anthropic.com/v1/oauth/token",
        audience="https://api.anthropic.com",
        trust={**_OPTIONAL_ENDPOINT, "organizationID": True, "pinInstances": False},
        target={"ruleID": True, "serviceAccountID": True, "workspaceID": False},
        parameters={"ruleID": "ruleID", "serviceAccountID": "serviceAccountID", "workspaceID": "workspaceID"},
        settings={"organizationID": "organizationID"},
        pins=True,
        static_credentials=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    ),
    "OpenAI": Kind(
        "OpenAI",
        endpoint="https://auth.openai.com/oauth/token",
        audience="https://api.openai.com/v1",
        trust={**_OPTIONAL_ENDPOINT, "identityProviderID": True},
        target={"serviceAccountID": True, "projectID": True},
        parameters={"serviceAccountID": "serviceAccountID"},
        settings={"identityProviderID": "identityProviderID"},
        static_credentials=("OPENAI_API_KEY",),
    ),
    "Kernel": Kind(
        "Kernel",
        endpoint="https://auth.onkernel.com/token",
        audience="https://auth.onkernel.com",
        trust=_OPTIONAL_ENDPOINT,
        target={"ruleID": True, "resource": False},
        parameters={"ruleID": "ruleID", "resource": "resource"},
        static_credentials=("KERNEL_API_KEY",),
    ),
}
