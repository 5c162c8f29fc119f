"""What a trust and a binding say about MinIO."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from apostille.model.fields import ATOMIC, doc

Mode = Literal["Claim", "Role"]

POLICY_NAME = "^([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]{0,62}[A-Za-z0-9])$"
PolicyName = Annotated[str, Meta(pattern=POLICY_NAME, max_length=64)]

# Only of S3: admin actions have conditions and effects of their own.
_ACTION = r"^s3:[A-Za-z*]+$"
_RESOURCE = r"^arn:aws:s3:::[^\s]+$"


class Statement(Struct, frozen=True, forbid_unknown_fields=True):
    """What is allowed on what."""

    actions: Annotated[
        tuple[Annotated[str, doc("An S3 action, such as s3:GetObject.", max_length=64, pattern=_ACTION)], ...],
        doc("actions are S3 actions, such as s3:GetObject.", min_length=1, max_length=64),
        ATOMIC,
    ]
    resources: Annotated[
        tuple[
            Annotated[str, doc("A bucket or objects, such as arn:aws:s3:::ledger/*.", max_length=512,
                               pattern=_RESOURCE)], ...
        ],
        doc("resources are buckets and objects, such as arn:aws:s3:::ledger and arn:aws:s3:::ledger/*.", min_length=1,
            max_length=64),
        ATOMIC,
    ]  # fmt: skip


class MinIOPolicy(Struct, frozen=True, forbid_unknown_fields=True):
    """What one target may do."""

    name: Annotated[PolicyName, doc("name of the target, as bindings and spec.allow name it.")]
    statements: Annotated[
        tuple[Statement, ...], doc("statements are added up; what none allows is denied.", min_length=1, max_length=16),
        ATOMIC,
    ]  # fmt: skip


class MinIOTrust(Struct, frozen=True, forbid_unknown_fields=True):
    """The MinIO server that accepts this cluster's tokens, and what its targets may do there."""

    endpoint: Annotated[
        str,
        doc(
            "endpoint is the server's https URL without a path, such as https://minio.example:9000, of S3 and STS.",
            max_length=512,
            min_length=1,
        ),
    ]
    policies: Annotated[
        tuple[MinIOPolicy, ...],
        doc("policies are the targets that there are.", min_length=1, max_length=64),
        ATOMIC,
    ]
    mode: Annotated[
        Mode,
        doc(
            "mode says how the server maps a token to policies. With Claim the policy is named after the token's "
            "subject, and a token of any other subject is refused at the exchange; a server takes one such trust. "
            "With Role every subject gets a credential, and the policy allows only the bound ones anything."
        ),
    ] = "Claim"
    ca_bundle: Annotated[
        str,
        doc(
            "caBundle holds, in PEM, the authorities that may have signed the server's certificate; the system's when "
            "omitted. The SDKs of the workload then use it for everything.",
            max_length=16384,
        ),
    ] = field(name="caBundle", default="")
    region: Annotated[
        str,
        doc(
            "region is the server's, where it was given one (MINIO_SITE_REGION).", max_length=32, pattern="^[a-z0-9-]*$"
        ),
    ] = ""

    def policy(self, name: str) -> MinIOPolicy | None:
        """The declared policy of this name."""
        return next((policy for policy in self.policies if policy.name == name), None)


class MinIOTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """What the workload may do at the MinIO server."""

    policy: Annotated[PolicyName, doc("policy is the name of one of the trust's policies.")]


def role_arn(client_id: str, region: str) -> str:
    """The role that MinIO derives from a provider's client id (internal/config/identity/openid)."""
    digest = hashlib.sha1(client_id.encode(), usedforsecurity=False).digest()
    return f"arn:minio:iam:{region}::role/{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def is_policy_name(name: str) -> bool:
    """Whether a target in ``spec.allow`` can be a policy's name."""
    return re.fullmatch(POLICY_NAME[1:-1], name) is not None
