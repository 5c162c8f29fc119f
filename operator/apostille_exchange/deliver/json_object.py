"""Every value by the grant's own names, and when they end, as one JSON object."""

from __future__ import annotations

import json

from apostille_exchange import instants
from apostille_exchange.credential import Credential
from apostille_exchange.deliver.stamp import Stamp

# An object has no comments, and a member of ours would be somebody's "unknown field".
STAMP_BESIDE = True


def render(credential: Credential, stamp: Stamp) -> str:
    """``{"expires": RFC 3339, "token": …}``."""
    return json.dumps({**credential.values, "expires": instants.text(credential.expires)}) + "\n"
