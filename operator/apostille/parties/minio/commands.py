"""The access as commands of MinIO's client (``mc``)."""

from __future__ import annotations

import json

from apostille.parties import shell
from apostille.parties.minio.documents import PREFIX, MinIOAccess

_ABOUT = """Needs mc with an alias of the server, MC_ALIAS, whose credentials may administer it.
A new provider gets a client secret that is shown nowhere: nobody signs with it. The server restarts."""
_ALIAS = shell.Words('"$MC_ALIAS"')
# What mc calls the settings is what the server's environment calls them, in lower case.
_SECRET = shell.Words('client_secret="$(head -c 48 /dev/urandom | base64 | tr -d "\\n")"')


def render(access: MinIOAccess) -> dict[str, str]:
    """The policies, then the provider that leads to them."""
    lines = [
        shell.run(
            ("mc", "admin", "policy", "create", _ALIAS, name, "/dev/stdin"),
            stdin=json.dumps(access.policies[name], separators=(",", ":")),
        )
        for name in sorted(access.policies)
    ]
    settings = [
        f"{name.removeprefix(PREFIX).lower()}={access.environment[name]}"
        for name in sorted(access.environment)
        if name.startswith(PREFIX)
    ]
    lines += shell.ensure(
        # It succeeds where nothing is configured too, and then has no settings.
        ("mc", "--json", "idp", "openid", "info", _ALIAS, shell.Words("| grep '\"config_url\"'")),
        [shell.run(("mc", "idp", "openid", "update", _ALIAS, *settings))],
        [shell.run(("mc", "idp", "openid", "add", _ALIAS, *settings, _SECRET))],
    )
    # Without --json it wants a terminal. The server may be gone before it has answered; once more changes nothing.
    lines += shell.insist(("mc", "--json", "admin", "service", "restart", _ALIAS), times=12, pause=5)
    return shell.script(_ABOUT, lines, needs=("MC_ALIAS",))
