"""Microsoft Entra: federated identity credentials of managed identities and applications (cloud-trust §5)."""
