"""AWS."""

from __future__ import annotations

from builders import binding, role, trust
from samples.bad_input import Bad
from samples.sample import Sample

SAMPLES = {
    "AWS": Sample(trust(), binding, tuple({"aws": {"roleARN": role(name)}} for name in ("a", "b", "path/c"))),
}
BAD = {
    "an account by its alias": Bad({"accountID": "acme-prod"}),
    "an account with dashes": Bad({"accountID": "1234-5678-9012"}),
    "a region that is none": Bad({"region": "eu-west"}),
    "a region of another cloud": Bad({"region": "europe-west1"}),
    "a role of another account": Bad(target=role("reader", "210987654321")),
    "a role of another partition": Bad(target=role("reader", partition="aws-cn")),
    "a role by its name": Bad(target="payments-reader"),
    "a user": Bad(target="arn:aws:iam::123456789012:user/reader"),
}
