"""Keycloak as a relying party: a real server."""

from apostille_testbed.parties.stands import Stands

STANDS = Stands("Keycloak", "a real Keycloak", cluster="rotation")
