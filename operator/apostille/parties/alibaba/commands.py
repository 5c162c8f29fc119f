"""The access as commands of the Alibaba Cloud CLI (``aliyun ims``, ``aliyun ram``)."""

from __future__ import annotations

import shlex

from apostille.parties import shell
from apostille.parties.alibaba.documents import AlibabaAccess, Role, policy_text

_ABOUT = """Needs the Alibaba Cloud CLI with credentials for {account} that may administer RAM.
Other trusts of this cluster may use the same identity provider: their audiences stay."""


def render(access: AlibabaAccess) -> dict[str, str]:
    """The provider, then every role; nothing else of them is touched."""
    lines = _provider(access)
    for role in access.roles:
        lines += _role(access, role)
    account = f"account {access.account_id}" if access.account_id else "the account"
    return shell.script(_ABOUT.format(account=account), lines)


def _provider(access: AlibabaAccess) -> list[str]:
    named = ("--OIDCProviderName", access.provider)
    known = ("aliyun", "ims", "GetOIDCProvider", *named)
    return shell.ensure(
        known,
        [_client(known, named, audience) for audience in access.audiences],
        [
            shell.run(
                (*("aliyun", "ims", "CreateOIDCProvider"), *named, "--IssuerUrl", access.issuer, "--ClientIds",
                 ",".join(access.audiences))
            )
        ],
    )  # fmt: skip


def _client(known: shell.Command, named: shell.Command, audience: str) -> str:
    # The reply has all of them in one text, separated by commas; what it does to one that is there is not documented.
    there = f"""{shell.run(known)} | tr '",' '\\n\\n' | grep -qxF -e {shlex.quote(audience)}"""
    return f"{there} || {shell.run(('aliyun', 'ims', 'AddClientIdToOIDCProvider', *named, '--ClientId', audience))}"


def _role(access: AlibabaAccess, role: Role) -> list[str]:
    named, policy, longest = ("--RoleName", role.name), policy_text(access, role), str(role.max_session_seconds)
    return shell.ensure(
        ("aliyun", "ram", "GetRole", *named),
        [
            shell.run(
                (*("aliyun", "ram", "UpdateRole"), *named, "--NewAssumeRolePolicyDocument", policy,
                 "--NewMaxSessionDuration", longest)
            )
        ],
        [
            shell.run(
                (*("aliyun", "ram", "CreateRole"), *named, "--AssumeRolePolicyDocument", policy,
                 "--MaxSessionDuration", longest)
            )
        ],
    )  # fmt: skip
