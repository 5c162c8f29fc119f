"""Keycloak: whose token it is, as a service finds out that trusts the realm's keys."""

import jwt
import requests

from .given import file, token
from .values import KEYCLOAK, REALM

FILE = "KEYCLOAK_TOKEN_FILE"
_ISSUER = f"{KEYCLOAK}/realms/{REALM}"
_KEYS = jwt.PyJWKClient(f"{_ISSUER}/protocol/openid-connect/certs")


def from_file():
    """With the sidecar's access token."""
    return _client(file(FILE))


def by_hand():
    """As a confidential client, told everything."""
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    form = {"grant_type": "client_credentials", "client_assertion_type": kind, "client_assertion": token()}
    reply = requests.post(f"{_ISSUER}/protocol/openid-connect/token", form, timeout=30)
    reply.raise_for_status()
    return _client(reply.json()["access_token"])


def _client(token):
    key = _KEYS.get_signing_key_from_jwt(token)
    return jwt.decode(token, key, ["RS256"], issuer=_ISSUER, options={"verify_aud": False})["azp"]
