"""Keycloak as a relying party: a real server."""
