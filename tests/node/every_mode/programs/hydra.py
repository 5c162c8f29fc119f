"""Hydra: whose token it is, by which client, as a service finds out that asks there (RFC 7662)."""

import requests

from .given import file, token
from .values import HYDRA, HYDRA_ADMIN

FILE = "OAUTH_TOKEN_FILE"


def from_file():
    """With the sidecar's access token."""
    return _whose(file(FILE))


def by_hand():
    """As a public client, told everything."""
    kind = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    form = {"grant_type": kind, "assertion": token(), "client_id": "api", "scope": "read"}
    reply = requests.post(f"{HYDRA}/oauth2/token", form, timeout=30)
    reply.raise_for_status()
    return _whose(reply.json()["access_token"])


def _whose(token):
    said = requests.post(f"{HYDRA_ADMIN}/admin/oauth2/introspect", {"token": token}, timeout=30).json()
    if not said["active"]:
        raise PermissionError("Hydra does not know the token")
    return f"{said['client_id']} {said['sub']}"
