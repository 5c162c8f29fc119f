"""MinIO as a relying party: a real server."""

from apostille_testbed.parties.minio.party import Answer, MinIOParty

__all__ = ["Answer", "MinIOParty"]
