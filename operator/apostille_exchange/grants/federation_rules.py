"""Services that answer for workloads by a rule of their own, named in the request (cloud-trust §13.3).

Each takes RFC 8693 or RFC 7523 with parameters of its own, some of them as JSON, and refuses what it does not know.
"""

from __future__ import annotations

from apostille_exchange.grants import oauth
from apostille_exchange.grants.token_endpoint import TEXT, TokenEndpoint, Wire

_ID = r"[A-Za-z0-9_-]{1,128}"
# The clients of neither read token_type; where it is there, it must be right.
_TOLD_OR_NOT = ("bearer", "")


class Anthropic(TokenEndpoint):
    """Parameters: ``ruleID``, ``serviceAccountID``, ``workspaceID``; setting: ``organizationID``."""

    wire = Wire(
        grant_type=oauth.JWT_BEARER,
        assertion="assertion",
        parameters={
            "ruleID": ("federation_rule_id", _ID, True),
            "serviceAccountID": ("service_account_id", _ID, False),
            "workspaceID": ("workspace_id", _ID, False),
        },
        frozen={"organizationID": "organization_id"},
        headers={"anthropic-beta": "oauth-2025-04-20,oidc-federation-2026-04-01"},
        as_json=True,
        token_types=_TOLD_OR_NOT,
    )


class OpenAI(TokenEndpoint):
    """Parameter: ``serviceAccountID``; setting: ``identityProviderID``."""

    wire = Wire(
        grant_type=oauth.TOKEN_EXCHANGE,
        assertion="subject_token",
        fixed={"subject_token_type": oauth.JWT},
        parameters={"serviceAccountID": ("service_account_id", _ID, True)},
        frozen={"identityProviderID": "identity_provider_id"},
        as_json=True,
        token_types=_TOLD_OR_NOT,
    )


class Kernel(TokenEndpoint):
    """Parameters: ``ruleID``, ``resource``."""

    wire = Wire(
        grant_type=oauth.JWT_BEARER,
        assertion="assertion",
        parameters={"ruleID": ("federation_rule_id", _ID, True), "resource": ("resource", TEXT, False)},
    )
