"""The AWS shared credentials file (AWS SDKs and Tools Reference Guide, "Shared config and credentials files")."""

from __future__ import annotations

from apostille_exchange.credential import Credential
from apostille_exchange.deliver.stamp import Stamp


def render(credential: Credential, stamp: Stamp) -> str:
    """One profile, ``default``. The format has no field for the end of a credential; a comment states it."""
    return (
        "# Written by Apostille, replaced before it ends.\n"
        f"# {stamp}\n"
        "[default]\n"
        f"aws_access_key_id = {credential.values['AccessKeyId']}\n"
        f"aws_secret_access_key = {credential.values['SecretAccessKey']}\n"
        f"aws_session_token = {credential.values['SessionToken']}\n"
    )
