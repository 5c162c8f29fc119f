"""The access as commands of the HCP CLI (``hcp iam workload-identity-providers``)."""

from __future__ import annotations

from apostille.parties import shell
from apostille.parties.hcp.documents import HCPAccess

_ABOUT = """Needs the HCP CLI with a profile that may administer the project's service principals.
The CLI changes no provider: what differs is deleted and made anew, and nothing is exchanged meanwhile."""
_CLI = ("hcp", "iam", "workload-identity-providers")


def render(access: HCPAccess) -> dict[str, str]:
    """Each provider, made anew."""
    lines: list[str] = []
    for name in sorted(access.providers):
        document = access.providers[name]
        principal, provider = document["parent_resource_name"], document["provider"]
        resource = f"{principal}/workload-identity-provider/{document['name']}"
        create = shell.run(
            (
                *_CLI, "create-oidc", document["name"],
                f"--service-principal={principal}",
                f"--issuer={provider['oidc_config']['issuer_uri']}",
                *(f"--allowed-audience={audience}" for audience in provider["oidc_config"]["allowed_audiences"]),
                f"--conditional-access={provider['conditional_access']}",
                f"--description={provider['description']}",
            )
        )  # fmt: skip
        lines += shell.ensure(
            (*_CLI, "read", resource), [shell.run((*_CLI, "delete", "--quiet", resource)), create], [create]
        )
    return shell.script(_ABOUT, lines)
