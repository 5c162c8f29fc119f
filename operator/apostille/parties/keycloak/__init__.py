"""Keycloak: service-account tokens as client authentication, and as JWT authorization grant (cloud-trust §10)."""
