"""The access as commands of Vault's command line; OpenBao's ``bao`` takes the same."""

from __future__ import annotations

import json

from apostille.parties import shell
from apostille.parties.vault.documents import VaultAccess

_ABOUT = """Needs vault (or bao, as VAULT) with a token that may administer the JWT auth method.
Roles that are bound no longer stay: delete them by name."""
_VAULT = shell.Words('"${VAULT:-vault}"')


def render(access: VaultAccess) -> dict[str, str]:
    """The auth method, its configuration, its roles."""
    space = (f"-namespace={access.namespace}",) if access.namespace else ()
    lines = shell.ensure(
        (_VAULT, "read", *space, f"sys/auth/{access.mount}"),
        (),
        [shell.run((_VAULT, "auth", "enable", *space, f"-path={access.mount}", "jwt"))],
    )
    bodies = {"config": access.config} | {f"role/{name}": access.roles[name] for name in sorted(access.roles)}
    lines += [
        shell.run(
            (_VAULT, "write", *space, f"auth/{access.mount}/{path}", "-"),
            stdin=json.dumps(body, separators=(",", ":")),
        )
        for path, body in bodies.items()
    ]
    return shell.script(_ABOUT, lines, needs=("VAULT_ADDR",))
