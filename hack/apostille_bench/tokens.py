"""Token requests, as a kubelet makes them."""

from __future__ import annotations

import json
from typing import Any

from apostille_bench.scene import Caller
from apostille_testbed.client import APIError, Client

# By a policy; while the pod is not there yet.
_REFUSED = (403, 422)


def granted(client: Client, namespace: str, account: str, pod: str, audience: str) -> bool:
    """Whether a token bound to the pod is given now. Raises APIError for anything but a refusal."""
    try:
        client.request("POST", _path(namespace, account), _body(pod, audience))
    except APIError as error:
        if error.status not in _REFUSED:
            raise
        return False
    return True


def granted_at_once(caller: Caller, namespace: str, account: str, pod: str, audience: str) -> bool:
    """The same by a connection that is kept: what asks a hundred times a second must not be what is measured."""
    _, answer = caller.post(_path(namespace, account), json.dumps(_body(pod, audience)).encode(), _REFUSED)
    return bool(answer["kind"] == "TokenRequest")


def _path(namespace: str, account: str) -> str:
    return f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"


def _body(pod: str, audience: str) -> dict[str, Any]:
    bound = {"apiVersion": "v1", "kind": "Pod", "name": pod}
    return {"spec": {"audiences": [audience], "expirationSeconds": 600, "boundObjectRef": bound}}
