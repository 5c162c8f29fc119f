"""Vault: a secret."""

import hvac

from .given import file, token
from .values import MOUNT, VAULT, VAULT_ROLE

FILE = "VAULT_TOKEN_FILE"


def from_file():
    """hvac with the sidecar's token."""
    return _secret(hvac.Client(token=file(FILE)))


def by_hand():
    """hvac, told everything."""
    client = hvac.Client(url=VAULT)
    client.auth.jwt.jwt_login(role=VAULT_ROLE, jwt=token(), path=MOUNT)
    return _secret(client)


def _secret(client):
    read = client.secrets.kv.v2.read_secret_version(path="payments", raise_on_deleted_version=True)
    return read["data"]["data"]["password"]
