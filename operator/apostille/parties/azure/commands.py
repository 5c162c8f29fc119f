"""The access as commands of the Azure CLI (``az identity``, ``az ad app``)."""

from __future__ import annotations

import json

from apostille.parties import shell
from apostille.parties.azure.documents import AzureAccess, Credential, Identity, body
from apostille.parties.azure.settings import APPLICATION, MANAGED_IDENTITY

_ABOUT = """Needs az, signed in to tenant {tenant} with the right to change the identities' federated credentials.
Credentials that are bound no longer stay: delete them by name. Entra takes minutes until a new one counts."""


def render(access: AzureAccess) -> dict[str, str]:
    """One credential after the other: at once on one identity they would conflict."""
    lines: list[str] = []
    for client in sorted(access.identities):
        identity = access.identities[client]
        written = _application if APPLICATION.fullmatch(identity.resource) else _managed
        for one in identity.credentials:
            lines += written(identity, one)
    return shell.script(_ABOUT.format(tenant=access.tenant_id), lines)


def _managed(identity: Identity, one: Credential) -> list[str]:
    match = MANAGED_IDENTITY.fullmatch(identity.resource)
    if match is None:
        return [f"# {identity.resource} is no managed identity"]
    command = ("az", "identity", "federated-credential")
    at = ("--subscription", match["subscription"], "--resource-group", match["group"], "--identity-name", match["name"])
    what = ("--issuer", one.issuer, "--subject", one.subject, "--audiences", *one.audiences)
    named = ("--name", one.name, *at)
    # create is a PUT: of what is there it changes what differs.
    return [shell.run((*command, "create", *named, *what))]


def _application(identity: Identity, one: Credential) -> list[str]:
    match = APPLICATION.fullmatch(identity.resource)
    assert match is not None  # noqa: S101 - `render` asked
    command, at = ("az", "ad", "app", "federated-credential"), ("--id", match["object"])
    named = (*at, "--federated-credential-id", one.name)
    parameters = ("--parameters", json.dumps(body(identity, one), separators=(",", ":")))
    return shell.ensure(
        (*command, "show", *named),
        [shell.run((*command, "update", *named, *parameters))],
        [shell.run((*command, "create", *at, *parameters))],
    )
