"""Keycloak, with both grants."""

from __future__ import annotations

from oauth_declarations import keycloak_binding, keycloak_trust
from samples.bad_input import Bad
from samples.sample import Sample

_TARGETS = tuple({"keycloak": {"client": f"client-{name}"}} for name in "abcdef")
SAMPLES = {
    "Keycloak": Sample(keycloak_trust(), keycloak_binding, _TARGETS),
    "Keycloak with JWT grants": Sample(keycloak_trust(settings={"grant": "JWTBearer"}), keycloak_binding, _TARGETS),
}
BAD = {
    "an address without TLS": Bad({"address": "http://keycloak.example"}),
    "the realm's URL for its name": Bad({"realm": "https://keycloak.example/realms/payments"}),
    "another audience than the realm's": Bad(spec={"audience": "https://keycloak.example"}),
    "tokens that live too long": Bad(spec={"ceilings": {"assertionSeconds": 7200}}),
    "a client in words": Bad(target="the reader"),
}
