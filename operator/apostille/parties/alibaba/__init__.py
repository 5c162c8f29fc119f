"""Alibaba Cloud: an OIDC identity provider and role trust policies of RAM, AssumeRoleWithOIDC at STS."""
