"""AWS as a relying party: IAM's state, STS as the judge, S3 behind it."""

from apostille_testbed.parties.aws.iam import IAM, IAMError
from apostille_testbed.parties.aws.party import AWSParty, Exchange
from apostille_testbed.parties.keys import Address

__all__ = ["IAM", "AWSParty", "Address", "Exchange", "IAMError"]
