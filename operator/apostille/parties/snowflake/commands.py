"""The access as commands of the Snowflake CLI (``snow sql``)."""

from __future__ import annotations

from apostille.parties import shell
from apostille.parties.snowflake import documents
from apostille.parties.snowflake.documents import DEFAULT, SnowflakeAccess

_ABOUT = """Needs the Snowflake CLI with a connection that may administer users and authentication policies.
Workload identities of subjects that are bound no longer stay: remove them by name."""
_SNOW = ("snow", "sql", "--stdin")


def render(access: SnowflakeAccess) -> dict[str, str]:
    """The policy, then every user."""
    lines = [shell.run(_SNOW, stdin=documents.policy_script(access.policy))] if access.policy.name else []
    for user in sorted(access.users):
        named = {name: one for name, one in access.users[user].items() if name != DEFAULT}
        plain = SnowflakeAccess(
            {user: {name: one for name, one in access.users[user].items() if name == DEFAULT}},
            access.policy,
            access.kinds,
        )
        lines.append(shell.run(_SNOW, stdin=documents.user_script(plain, user)))
        # A named identity is added once, and changed from then on.
        lines += [
            f"{_ran(user, name, one, 'MODIFY')} >/dev/null 2>&1 || {_ran(user, name, one, 'ADD')}"
            for name, one in named.items()
        ]
    return shell.script(_ABOUT, lines)


def _ran(user: str, name: str, identity: documents.Identity, verb: str) -> str:
    return shell.run(_SNOW, stdin=documents.identity_statement(user, name, identity, verb))
