"""The access as commands of the AWS CLI (``aws iam``)."""

from __future__ import annotations

from apostille.parties import shell
from apostille.parties.aws.policy import AWSAccess, Role, policy_text, role_name

_ABOUT = """Needs the AWS CLI with credentials for account {account} that may administer IAM.
Other trusts of this cluster may use the same provider: their audiences stay."""


def render(access: AWSAccess) -> dict[str, str]:
    """The provider, then every role; nothing else of them is touched."""
    lines = _provider(access)
    for role in access.roles:
        lines += _role(access, role)
    return shell.script(_ABOUT.format(account=access.account_id), lines)


def _provider(access: AWSAccess) -> list[str]:
    arn = ("--open-id-connect-provider-arn", access.provider_arn)
    audiences = (access.audience, *access.other_audiences)
    return shell.ensure(
        ("aws", "iam", "get-open-id-connect-provider", *arn),
        [
            shell.run(("aws", "iam", "add-client-id-to-open-id-connect-provider", *arn, "--client-id", audience))
            for audience in audiences
        ],
        [
            shell.run(
                (*("aws", "iam", "create-open-id-connect-provider"), "--url", access.issuer, "--client-id-list",
                 *audiences)
            )
        ],
    )  # fmt: skip


def _role(access: AWSAccess, role: Role) -> list[str]:
    path, name = role_name(role.arn)
    named, policy = ("--role-name", name), policy_text(access, role)
    longest = ("--max-session-duration", str(role.max_session_seconds))
    return shell.ensure(
        ("aws", "iam", "get-role", *named),
        [
            shell.run(("aws", "iam", "update-assume-role-policy", *named, "--policy-document", policy)),
            shell.run(("aws", "iam", "update-role", *named, *longest)),
        ],
        [
            shell.run(
                ("aws", "iam", "create-role", *named, "--path", path, "--assume-role-policy-document", policy, *longest)
            )
        ],
    )
