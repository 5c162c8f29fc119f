"""Alibaba Cloud."""

from __future__ import annotations

from typing import Any

from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from builders import allow, binding, trust
from samples.bad_input import Bad
from samples.sample import Sample

ACCOUNT = "1234567890123456"
PROVIDER = f"acs:ram::{ACCOUNT}:oidc-provider/cluster-a"


def role(name: str = "payments-reader", account: str = ACCOUNT) -> str:
    """The ARN of a role."""
    return f"acs:ram::{account}:role/{name}"


def alibaba_trust(name: str = "ali-prod", settings: dict[str, Any] | None = None, **spec: Any) -> FederationTrust:
    """A trust in an account; ``settings`` replaces fields of its union member."""
    own = {"accountID": ACCOUNT, "region": "eu-central-1", "provider": "cluster-a"} | (settings or {})
    given = {
        "relyingParty": {"type": "Alibaba", "alibaba": own},
        "audience": "https://ali-prod.sts.example",
        "allow": [allow(targets=[role()])],
    }
    return trust(name, **(given | spec))


def alibaba_binding(name: str = "oss", namespace: str = "payments", **spec: Any) -> WorkloadBinding:
    """A binding to a role."""
    given = {"trustRef": {"name": "ali-prod"}, "target": {"alibaba": {"roleARN": role()}}}
    return binding(name, namespace, **(given | spec))


SAMPLES = {
    "Alibaba": Sample(
        alibaba_trust(),
        alibaba_binding,
        tuple({"alibaba": {"roleARN": role(name)}} for name in ("payments-reader", "A.b-1", "x")),
    )
}
BAD = {
    "an account by its alias": Bad({"accountID": "acme.onaliyun.com"}, {"allow": []}),
    "a region that is none": Bad({"region": "eu-west-9"}),
    "a region of another cloud": Bad({"region": "europe-west1"}),
    "a provider by its ARN": Bad({"provider": PROVIDER}),
    "an audience that RAM cannot hold": Bad(spec={"audience": "~own"}),
    "a role of another account": Bad(target=role(account="6543210987654321")),
    "a role by its name": Bad(target="payments-reader"),
    "a role of AWS": Bad(target="arn:aws:iam::123456789012:role/payments-reader"),
}
