"""Azure: the subscription that one may read."""

import os
from pathlib import Path

import requests
from azure.identity import ClientAssertionCredential, DefaultAzureCredential, ManagedIdentityCredential

from .ended import ended
from .given import file, token
from .values import CLIENT, TENANT

_MANAGEMENT = "https://management.azure.com"
_KEY = Path("/var/opt/azcmagent/tokens/apostille.key")


def sdk():
    """azure-identity finds its credential."""
    return _asked(DefaultAzureCredential())


def endpoint():
    """azure-identity asks the sidecar as if it were Azure Arc."""
    return _asked(ManagedIdentityCredential(retry_total=0))


def from_file():
    """A program that reads the sidecar's access token."""
    return _read(file("AZURE_ACCESS_TOKEN_FILE"))


def by_hand():
    """azure-identity, told everything."""
    return _asked(ClientAssertionCredential(TENANT, CLIENT, token))


def gone():
    """Whether there is nothing more to be had."""
    return ended(os.environ["IDENTITY_ENDPOINT"], "Basic " + _KEY.read_text())


def _asked(credential):
    return _read(credential.get_token(f"{_MANAGEMENT}/.default").token)


def _read(token):
    headers = {"Authorization": f"Bearer {token}"}
    reply = requests.get(f"{_MANAGEMENT}/subscriptions?api-version=2022-12-01", headers=headers, timeout=30)
    reply.raise_for_status()
    return reply.json()["value"][0]["subscriptionId"]
