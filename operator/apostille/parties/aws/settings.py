"""What a trust and a binding say about AWS."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct, field

# IAM CreateRole: RoleName and Path. Partitions are those of the regions that AWSTrust takes.
ROLE_ARN = re.compile(
    r"arn:(?P<partition>aws|aws-cn|aws-us-gov):iam::(?P<account>[0-9]{12}):role"
    r"(?P<path>/|/[!-~]{1,510}/)(?P<name>[\w+=,.@-]{1,64})",
    re.ASCII,
)

# Areas and directions of the three partitions (botocore's partitions.json, regionRegex): a slip of the pen is none.
_REGION = (
    "^((us|eu|ap|sa|ca|me|af|il|mx)-(north|south)?(east|west|central|north|south)-[0-9]{1,2}"
    "|cn-(north|northwest)-[0-9]|us-gov-(east|west)-[0-9])$"
)

_PARTITIONS = (("cn-", "aws-cn", "amazonaws.com.cn"), ("us-gov-", "aws-us-gov", "amazonaws.com"))


class AWSTrust(Struct, frozen=True, forbid_unknown_fields=True):
    """The AWS account that accepts this cluster's tokens."""

    account_id: Annotated[
        str,
        Meta(
            description="accountID is the 12-digit account that holds the OIDC provider and the roles.",
            pattern="^[0-9]{12}$",
            max_length=12,
        ),
    ] = field(name="accountID")
    region: Annotated[
        str,
        Meta(
            description="region is where workloads exchange their tokens (its STS endpoint); "
            "also the default region of their SDKs.",
            pattern=_REGION,
            max_length=32,
        ),
    ]

    @property
    def partition(self) -> str:
        """``aws``, ``aws-cn`` or ``aws-us-gov``: each has its own ARNs and endpoints."""
        return next((partition for prefix, partition, _ in _PARTITIONS if self.region.startswith(prefix)), "aws")

    @property
    def sts(self) -> str:
        """The regional STS endpoint (AWS STS endpoints and quotas)."""
        domain = next((domain for prefix, _, domain in _PARTITIONS if self.region.startswith(prefix)), "amazonaws.com")
        return f"https://sts.{self.region}.{domain}/"


class AWSTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """The AWS identity that the workload takes on."""

    role_arn: Annotated[
        str,
        Meta(
            description="roleARN is the role to assume, such as arn:aws:iam::123456789012:role/payments-reader.",
            max_length=2048,
            min_length=20,
        ),
    ] = field(name="roleARN")
