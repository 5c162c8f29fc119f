"""HCP, which has no SDK for Python: the requests that hcp-sdk-go makes (auth/workload), and who one is."""

import json
from pathlib import Path

import requests

from .given import TOKEN, file
from .values import PRINCIPAL, PROJECT, PROVIDER

FILE = "HCP_TOKEN_FILE"
_HCP = "https://api.cloud.hashicorp.com"


def sdk():
    """By the credential file that hcp-sdk-go finds."""
    workload = json.loads(file("HCP_CRED_FILE"))["workload"]
    return _who(_exchanged(workload["provider_resource_name"], workload["file"]["path"]))


def from_file():
    """With the sidecar's access token."""
    return _who(file(FILE))


def by_hand():
    """Told everything."""
    principal = f"iam/project/{PROJECT}/service-principal/{PRINCIPAL}"
    return _who(_exchanged(f"{principal}/workload-identity-provider/{PROVIDER}", TOKEN))


def _exchanged(resource, path):
    asks = {"jwt_token": Path(path).read_text()}
    reply = requests.post(f"{_HCP}/2019-12-10/{resource}/exchange-token", json=asks, timeout=30)
    reply.raise_for_status()
    return reply.json()["access_token"]


def _who(token):
    headers = {"Authorization": f"Bearer {token}"}
    reply = requests.get(f"{_HCP}/iam/2019-12-10/caller-identity", headers=headers, timeout=30)
    reply.raise_for_status()
    return reply.json()["principal"]["service"]["name"]
