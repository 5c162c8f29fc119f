"""Token requests, as a kubelet makes them."""

from __future__ import annotations

from apostille_testbed.client import APIError, Client


def granted(client: Client, namespace: str, account: str, pod: str, audience: str) -> bool:
    """Whether a token bound to the pod is given now. Raises APIError for anything but a refusal."""
    bound = {"apiVersion": "v1", "kind": "Pod", "name": pod}
    spec = {"audiences": [audience], "expirationSeconds": 600, "boundObjectRef": bound}
    try:
        client.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", {"spec": spec})
    except APIError as error:
        if error.status not in (403, 422):
            raise
        return False
    return True
