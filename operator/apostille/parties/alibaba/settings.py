"""What a trust and a binding say about Alibaba Cloud."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct, field

from apostille.model.fields import doc

# RAM CreateRole, RoleName; ARNs of RAM have no region.
ROLE_ARN = re.compile(r"acs:ram::(?P<account>[0-9]{5,20}):role/(?P<name>[A-Za-z0-9.-]{1,64})", re.ASCII)
ACCOUNT = re.compile(r"[0-9]{5,20}", re.ASCII)
# CreateOIDCProvider, OIDCProviderName: neither begins nor ends with one of . - _
_PROVIDER = "^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$"

# Regions with an STS endpoint of their own (the vendor's API description of Sts 2015-04-01, "endpoints").
REGIONS = frozenset(
    {
        "ap-northeast-1", "ap-northeast-2", "ap-southeast-1", "ap-southeast-3", "ap-southeast-5", "ap-southeast-7",
        "cn-beijing", "cn-beijing-finance-1", "cn-chengdu", "cn-fuzhou", "cn-guangzhou", "cn-hangzhou", "cn-heyuan",
        "cn-hongkong", "cn-huhehaote", "cn-nanjing", "cn-qingdao", "cn-shanghai", "cn-shanghai-finance-1",
        "cn-shenzhen", "cn-wuhan-lr", "cn-wulanchabu", "cn-zhangjiakou", "eu-central-1", "eu-west-1", "me-central-1",
        "me-east-1", "na-south-1", "us-east-1", "us-west-1",
    }
)  # fmt: skip


class AlibabaTrust(Struct, frozen=True, forbid_unknown_fields=True):
    """The Alibaba Cloud account that accepts this cluster's tokens."""

    account_id: Annotated[
        str,
        doc(
            "accountID is the number of the account that holds the identity provider and the roles.",
            max_length=32,
            min_length=1,
        ),
    ] = field(name="accountID")
    region: Annotated[
        str,
        doc("region is where workloads exchange their tokens (its STS endpoint).", max_length=32, min_length=1),
    ]
    provider: Annotated[
        str,
        doc(
            "provider is the name of the OIDC identity provider in RAM that stands for this cluster.",
            pattern=_PROVIDER,
            max_length=128,
        ),
    ]

    @property
    def provider_arn(self) -> str:
        """What clients present, and role trust policies name."""
        return f"acs:ram::{self.account_id}:oidc-provider/{self.provider}"


class AlibabaTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """The RAM role that the workload takes on."""

    role_arn: Annotated[
        str,
        Meta(
            description="roleARN is the role to assume, such as acs:ram::1234567890123456:role/payments-reader.",
            max_length=128,
            min_length=1,
        ),
    ] = field(name="roleARN")
