"""Alibaba Cloud as a relying party: RAM's identity providers and roles, STS as the judge."""

from apostille_testbed.parties.alibaba.party import AlibabaParty, Exchange
from apostille_testbed.parties.alibaba.ram import RAMError
from apostille_testbed.parties.stands import Stands

__all__ = ["STANDS", "AlibabaParty", "Exchange", "RAMError"]

STANDS = Stands(
    "Alibaba",
    "a strict STS that judges signature, issuer, audience, time and the rendered policy, with the vendor's codes",
    ("alibabacloud-credentials",),
)
