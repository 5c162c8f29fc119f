"""A trust policy by itself, as people keep it in repositories: with as much of provider and role as it tells."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from apostille.parties.aws.policy import ACTION, PROVIDER_FILE, providers
from apostille.parties.policy_grammar import FIELD, as_list, statements

_FILE, _NAME = "role-policy.json", "policy"
_PARTITION, _ACCOUNT = "aws", "000000000000"
_KEY = re.compile(r"([A-Za-z0-9.-]+(?:/[^:]*)?):(aud|sub)")


def documents(document: Any) -> Mapping[str, str] | None:
    """Native documents of a role that has this policy; None for what is no trust policy of a web identity."""
    if not isinstance(document, Mapping) or not _is_trust(document):
        return None
    arn = next(iter(providers(document)), "")
    keys = list(_keys(document))
    host = arn.split(":oidc-provider/", 1)[1] if arn else next((host for host, _, _ in keys), "")
    if not host:
        return None
    audiences = sorted({value for of, claim, values in keys for value in values if (of, claim) == (host, "aud")})
    known = document
    if not arn:
        # Which provider is meant is known by its name in a policy: one that allows nothing says it.
        provider = f"arn:{_PARTITION}:iam::{_ACCOUNT}:oidc-provider/{host}"
        nothing = {"Effect": "Deny", "Principal": {"Federated": provider}, "Action": "sts:TagSession"}
        known = {**document, "Statement": [*statements(document), nothing]}
    return {
        PROVIDER_FILE: json.dumps({"Url": f"https://{host}", "ClientIDList": audiences or ["sts.amazonaws.com"]}),
        _FILE: json.dumps({"RoleName": _NAME, "Path": "/", FIELD: known}),
    }


def _is_trust(document: Mapping[str, Any]) -> bool:
    found = statements(document)
    if "Statement" not in document or not all(isinstance(one, Mapping) for one in found):
        return False
    # A policy of permissions has resources, and no principal.
    return any(
        ("Principal" in one or "NotPrincipal" in one)
        and "Resource" not in one
        and (ACTION in as_list(one.get("Action", [])) or ":oidc-provider/" in json.dumps(one.get("Principal")))
        for one in found
    )


def _keys(document: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    for statement in statements(document):
        conditions = statement.get("Condition")
        for operator in conditions.values() if isinstance(conditions, Mapping) else ():
            for key, values in operator.items() if isinstance(operator, Mapping) else ():
                if (match := _KEY.fullmatch(str(key))) is not None:
                    yield match[1], match[2], [str(value) for value in as_list(values)]
