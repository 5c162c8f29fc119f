"""MinIO: an OpenID provider, policies, AssumeRoleWithWebIdentity (cloud-trust §11)."""
