"""The access as Terraform resources (aminueza/minio: iam_policy, iam_idp_openid; hashicorp/random: password)."""

from __future__ import annotations

import json

from apostille.parties import terraform
from apostille.parties.minio.documents import MinIOAccess

_POLICY = "minio_iam_policy"


def render(access: MinIOAccess) -> dict[str, str]:
    """The policies, then the provider that leads to them. The server has to be restarted once."""
    names = {name: terraform.name(name) for name in sorted(access.policies)}
    policies = {
        made: {"name": name, "policy": json.dumps(access.policies[name], separators=(",", ":"))}
        for name, made in names.items()
    }
    mapping = {key.lower(): access.setting(key) for key in ("CLAIM_NAME", "ROLE_POLICY") if access.setting(key)}
    provider = {
        "config_url": access.setting("CONFIG_URL"),
        "client_id": access.setting("CLIENT_ID"),
        # Nobody signs with it; known or empty it would make tokens for any subject.
        "client_secret": terraform.reference("random_password", "client_secret", "result"),
        "display_name": access.setting("DISPLAY_NAME"),
        **mapping,
        "depends_on": [f"{_POLICY}.{made}" for made in names.values()],
    }
    return terraform.document(
        {"minio": "aminueza/minio 3.23.0", "random": "hashicorp/random 2.2.0"},
        {
            "random_password": {"client_secret": {"length": 48}},
            _POLICY: policies,
            "minio_iam_idp_openid": {"cluster": provider},
        },
    )
