"""The access as commands of the Google Cloud CLI (``gcloud iam``)."""

from __future__ import annotations

from apostille.parties import shell
from apostille.parties.gcp.documents import ROLE, GCPAccess, members

_ABOUT = """Needs gcloud with an account that may administer workload identity pools of the project and the policies of
the service accounts. Members that are bound no longer stay: remove them by name."""


def render(access: GCPAccess) -> dict[str, str]:
    """Pool, provider, members."""
    _, project, _, location, _, pool = access.pool_name.split("/")
    at = ("--project", project, f"--location={location}")
    pools = ("gcloud", "iam", "workload-identity-pools")
    lines = shell.ensure((*pools, "describe", pool, *at), (), [shell.run((*pools, "create", pool, *at))])
    provider = access.provider_name.rpartition("/")[2]
    named = (provider, *at, f"--workload-identity-pool={pool}")
    settings = [
        f"--issuer-uri={access.oidc['issuerUri']}",
        f"--allowed-audiences={','.join(access.audiences)}",
        # With a separator of its own: values hold commas (gcloud topic escaping).
        f"--attribute-mapping=^|^{'|'.join(f'{key}={value}' for key, value in _mapping(access).items())}",
        f"--attribute-condition={access.provider.get('attributeCondition', '')}",
    ]
    jwks = str(access.oidc.get("jwksJson") or "")
    if jwks:
        settings.append("--jwk-json-path=/dev/stdin")
    lines += shell.ensure(
        (*pools, "providers", "describe", *named),
        [shell.run((*pools, "providers", "update-oidc", *named, *settings), stdin=jwks)],
        [shell.run((*pools, "providers", "create-oidc", *named, *settings), stdin=jwks)],
    )
    for email in sorted(access.service_accounts):
        for member, _ in members(access.service_accounts[email], (ROLE,)):
            lines.append(
                shell.run(
                    ("gcloud", "iam", "service-accounts", "add-iam-policy-binding", email, f"--role={ROLE}",
                     f"--member={member}", "--condition=None", "--quiet")
                )
            )  # fmt: skip
    lines += [f"# Grant the roles that it needs to {member}" for member in access.direct]
    return shell.script(_ABOUT, lines)


def _mapping(access: GCPAccess) -> dict[str, str]:
    return {str(key): str(value) for key, value in (access.provider.get("attributeMapping") or {}).items()}
