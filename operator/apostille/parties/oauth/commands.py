"""The access as requests to the service's API by ``curl``, where it has one that can be told the same twice."""

from __future__ import annotations

import json

from apostille.parties import shell
from apostille.parties.oauth.documents import CLIENT, TRUST, OAuthAccess

_HYDRA = """Needs curl, and HYDRA_ADMIN_URL: where Ory Hydra's admin API is.
Trusts that are not among these stay, and one that is there keeps its scopes: delete such by id first (GET
admin/trust/grants/jwt-bearer/issuers). Hydra deletes the key with them, and what else it trusted by that key: run this
afterwards."""
_NONE = """This service has no command line: make what the native documents say in its console, or by its API.
Nothing is done here."""
_JSON = ("-H", "Content-Type: application/json", "-d", "@-")


def render(access: OAuthAccess) -> dict[str, str]:
    """Hydra's clients and trusts; of the others only where to look."""
    if access.profile != "Hydra":
        return shell.script(_NONE, ())
    lines: list[str] = []
    for client in access.named(CLIENT).values():
        one = _at(f"clients/{client['client_id']}")
        lines += shell.ensure(
            ("curl", "-fsS", one),
            [shell.run(("curl", "-fsS", "-o", "/dev/null", "-X", "PUT", *_JSON, one), stdin=_body(client))],
            [shell.run(("curl", "-fsS", "-o", "/dev/null", *_JSON, _at("clients")), stdin=_body(client))],
        )
    for trust in access.named(TRUST).values():
        # 409: it is there already; it cannot be changed, only deleted.
        post = ("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", *_JSON, _at("trust/grants/jwt-bearer/issuers"))
        lines += [
            f"code=$({shell.run(post, stdin=_body(trust))})",
            'case "$code" in 201|409) ;; *) echo "Hydra answers $code" >&2; exit 1 ;; esac',
        ]
    return shell.script(_HYDRA, lines, needs=("HYDRA_ADMIN_URL",))


def _at(path: str) -> shell.Words:
    return shell.Words(f'"$HYDRA_ADMIN_URL"/admin/{path}')


def _body(document: object) -> str:
    return json.dumps(document, separators=(",", ":"))
