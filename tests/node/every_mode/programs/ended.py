"""Whether the sidecar's endpoint says that the binding has ended."""

import requests


def ended(url, authorization):
    """One request as an SDK makes it."""
    reply = requests.get(url, headers={"Authorization": authorization}, timeout=30)
    return reply.status_code == 503 and "BindingEnded" in reply.text
