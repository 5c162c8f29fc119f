"""Amazon Web Services: IAM OIDC providers, role trust policies, AssumeRoleWithWebIdentity."""
