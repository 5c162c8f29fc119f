"""What ``credential_process = cat FILE`` expects (AWS SDKs and Tools Reference Guide, "Process credential provider").

Unlike a shared credentials file it says when it ends, so that SDKs read it again in a session that lives on.
"""

from __future__ import annotations

import json

from apostille_exchange import instants
from apostille_exchange.credential import Credential
from apostille_exchange.deliver.stamp import Stamp

# SDKs refuse nothing they do not know, but a comment they would.
STAMP_BESIDE = True


def render(credential: Credential, stamp: Stamp) -> str:
    """Version 1 of the document."""
    values = credential.values
    document = {
        "Version": 1,
        "AccessKeyId": values["AccessKeyId"],
        "SecretAccessKey": values["SecretAccessKey"],
        "SessionToken": values["SessionToken"],
        "Expiration": instants.text(credential.expires),
    }
    return json.dumps(document) + "\n"
