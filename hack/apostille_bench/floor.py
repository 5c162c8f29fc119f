"""The floor of the platform: one policy like those that Apostille generates, changed by hand with nobody in between."""

from __future__ import annotations

from apostille_testbed.client import Client

AUDIENCE = "https://floor.example"
_API = "/apis/admissionregistration.k8s.io/v1"
_POLICIES, _NAME = f"{_API}/validatingadmissionpolicies", "bench-floor"


def declare(client: Client) -> None:
    """It begins with granting. Raises APIError."""
    rule = {
        "apiGroups": [""], "apiVersions": ["v1"], "resources": ["serviceaccounts/token"], "operations": ["CREATE"],
    }  # fmt: skip
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "audience", "expression": f"'{AUDIENCE}' in object.spec.audiences"}],
        "validations": [{"expression": "true", "message": "by hand"}],
    }
    client.ensure(_POLICIES, {"metadata": {"name": _NAME}, "spec": spec})
    binding = {"policyName": _NAME, "validationActions": ["Deny"]}
    client.ensure(f"{_API}/validatingadmissionpolicybindings", {"metadata": {"name": _NAME}, "spec": binding})


def refuse(client: Client, yes: bool) -> None:
    """Changes it. Raises APIError."""
    validations = [{"expression": "false" if yes else "true", "message": "by hand"}]
    client.request("PATCH", f"{_POLICIES}/{_NAME}", {"spec": {"validations": validations}})
