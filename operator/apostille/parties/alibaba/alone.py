"""A trust policy by itself, as people keep it in repositories: with as much of provider and role as it tells."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from apostille.parties.alibaba.documents import (
    AUD,
    ISS,
    PROVIDER_FILE,
    providers,
    role_file,
)
from apostille.parties.policy_grammar import FIELD, as_list, statements

_NAME = "policy"


def documents(document: Any) -> Mapping[str, str] | None:
    """Native documents of a role that has this policy; None for what is no trust policy of an identity provider."""
    if not isinstance(document, Mapping) or "Statement" not in document:
        return None
    if not all(isinstance(one, Mapping) and "Resource" not in one for one in statements(document)):
        return None
    if not (trusted := providers(document)):
        return None
    audiences = sorted(set(_values(document, AUD)))
    provider = {
        "OIDCProviderName": trusted[0].split(":oidc-provider/", 1)[1],
        "IssuerUrl": next(iter(sorted(_values(document, ISS))), ""),
        "ClientIds": ",".join(audiences) or "sts.aliyuncs.com",
    }
    return {
        PROVIDER_FILE: json.dumps(provider),
        role_file(_NAME): json.dumps({"RoleName": _NAME, FIELD: document}),
    }


def _values(document: Mapping[str, Any], wanted: str) -> Iterator[str]:
    for statement in statements(document):
        conditions = statement.get("Condition")
        for keys in conditions.values() if isinstance(conditions, Mapping) else ():
            for key, values in keys.items() if isinstance(keys, Mapping) else ():
                if str(key).lower() == wanted:
                    yield from (str(value) for value in as_list(values))
