"""MinIO as a relying party: a real server."""

from apostille_testbed.parties.minio.party import Answer, MinIOParty
from apostille_testbed.parties.stands import Stands

__all__ = ["STANDS", "Answer", "MinIOParty"]

STANDS = Stands("MinIO", "a real MinIO", ("boto3",), cluster="rotation")
