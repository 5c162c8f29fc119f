"""The grants by the name that an admission uses. A new one is a module here and a line below."""

from __future__ import annotations

from apostille_exchange.grants.grant import Grant
from apostille_exchange.recipe import RecipeError

__all__ = ["Grant", "load"]

# module:class, imported on use: a pod pays for its own party only.
_GRANTS = {
    "Assertion": "assertion_itself:AssertionItself",
    "AWSWebIdentity": "aws_web_identity:AWSWebIdentity",
    "EntraClientAssertion": "entra_client_assertion:EntraClientAssertion",
    "GoogleSTS": "google_sts:GoogleSTS",
    "DatabricksTokenExchange": "databricks:DatabricksTokenExchange",
    "HCPWorkload": "hcp:HCPWorkload",
    "VaultJWT": "vault_jwt:VaultJWT",
    "TokenExchange": "rfc8693:TokenExchange",
    "JWTBearer": "rfc7523:JWTBearer",
    "ClientAssertion": "rfc7523:ClientAssertion",
    "Anthropic": "federation_rules:Anthropic",
    "OpenAI": "federation_rules:OpenAI",
    "Kernel": "federation_rules:Kernel",
}


def load(name: str) -> Grant:
    """Raises RecipeError for a grant that this version does not have."""
    if name not in _GRANTS:
        raise RecipeError(f"admission.grant: {name!r} is not known to this version ({', '.join(_GRANTS)})")
    from importlib import import_module

    module, _, attribute = _GRANTS[name].partition(":")
    made = getattr(import_module(f"apostille_exchange.grants.{module}"), attribute)()
    assert isinstance(made, Grant)  # noqa: S101 - a line of the table above is wrong
    return made
