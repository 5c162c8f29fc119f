"""HashiCorp Vault: the JWT auth method, its configuration and its roles (cloud-trust §6)."""
