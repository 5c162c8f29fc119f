"""Keycloak, with both grants."""

from __future__ import annotations

from oauth_declarations import keycloak_binding, keycloak_trust
from samples.sample import Sample

_TARGETS = tuple({"keycloak": {"client": f"client-{name}"}} for name in "abcdef")
SAMPLES = {
    "Keycloak": Sample(keycloak_trust(), keycloak_binding, _TARGETS),
    "Keycloak with JWT grants": Sample(keycloak_trust(settings={"grant": "JWTBearer"}), keycloak_binding, _TARGETS),
}
