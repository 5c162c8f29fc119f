"""What only the sidecar itself reads: an endpoint's credential, so that it survives the sidecar's restart."""

from __future__ import annotations

import json
from collections.abc import Mapping

from apostille_exchange.credential import Credential
from apostille_exchange.deliver.stamp import Stamp


def render(credential: Credential, stamp: Stamp) -> str:
    """The stamp, then every value and what is public of them."""
    return f"# {stamp}\n{json.dumps({'values': dict(credential.values), 'public': credential.public})}\n"


def read(content: str) -> Mapping[str, str] | None:
    """The values; None where the file is damaged."""
    try:
        document = json.loads(content.partition("\n")[2])
        values = document["values"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        return None
    return values
