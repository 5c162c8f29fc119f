"""AWS as a relying party: IAM's state, STS as the judge, S3 behind it."""

from apostille_testbed.parties.aws.iam import IAM, IAMError
from apostille_testbed.parties.aws.party import AWSParty, Exchange
from apostille_testbed.parties.keys import Address
from apostille_testbed.parties.stands import Stands

__all__ = ["IAM", "STANDS", "AWSParty", "Address", "Exchange", "IAMError"]

STANDS = Stands(
    "AWS",
    "a strict STS that judges signature, issuer, audience, time and the rendered policy in the vendor's order",
    ("boto3",),
    cluster="rotation",
)
