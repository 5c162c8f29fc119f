"""The access as commands of Keycloak's ``kcadm.sh``."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

from apostille.parties import shell
from apostille.parties.keycloak.documents import Document, KeycloakAccess

_ABOUT = """Needs kcadm.sh (or another as KCADM), logged in (kcadm.sh config credentials) as who may change the realm.
Clients and users that are bound no longer stay: delete them by name."""
_KCADM = shell.Words('"${KCADM:-kcadm.sh}"')


def render(access: KeycloakAccess) -> dict[str, str]:
    """Providers, clients, users, each made where it is not there, else brought up to date."""
    realm = ("-r", access.realm_name)
    lines: list[str] = []
    for alias, provider in sorted(access.providers.items()):
        path = f"identity-provider/instances/{alias}"
        lines += shell.ensure(
            (_KCADM, "get", path, *realm),
            [_write("update", path, realm, provider)],
            [_write("create", "identity-provider/instances", realm, provider)],
        )
    for name, client in sorted(access.clients.items()):
        lines += _by_id("clients", f"clientId={name}", realm, client)
    for name, user in sorted(access.users.items()):
        # A link is a resource of its own: an update of the user leaves it alone.
        plain = {key: value for key, value in user.items() if key != "federatedIdentities"}
        lines += _by_id("users", f"username={name}", realm, plain, exact=True)
        lines += list(_links(user, realm))
    return shell.script(_ABOUT, lines)


def _by_id(kind: str, query: str, realm: tuple[str, ...], document: Document, *, exact: bool = False) -> list[str]:
    more = ("-q", "exact=true") if exact else ()
    find = shell.run(
        (_KCADM, "get", kind, *realm, "-q", query, *more, "--fields", "id", "--format", "csv", "--noquotes")
    )
    found = shell.Words(f'{kind}/"$id"')
    return [
        f"id=$({find})",
        'if [ -n "$id" ]; then',
        f"  {_write('update', found, realm, document)}",
        "else",
        f"  {_write('create', kind, realm, document)}",
        f"  id=$({find})",
        "fi",
    ]


def _links(user: Document, realm: tuple[str, ...]) -> Iterator[str]:
    for link in user.get("federatedIdentities") or ():
        path = shell.Words(f'users/"$id"/federated-identity/{shlex.quote(link["identityProvider"])}')
        # There is no update of a link.
        yield f"{shell.run((_KCADM, 'delete', path, *realm))} >/dev/null 2>&1 || :"
        yield _write("create", path, realm, link)


def _write(verb: str, path: str, realm: tuple[str, ...], document: Document) -> str:
    body = json.dumps(document, separators=(",", ":"))
    return shell.run((_KCADM, verb, path, *realm, "-f", "-"), stdin=body)
