"""What the chart makes of what it finds in the cluster: the certificate of 0.1.0 goes on after an upgrade."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from apostille_testbed import ControlPlane, control_plane
from apostille_testbed.chart import CHART, NAMESPACE, RELEASE, helm
from chart.rendering import one

BEFORE = "apostille-admission-certificate"
OF_CONTROLLER = f"--certificate-inherited={BEFORE}"

pytestmark = pytest.mark.integration


def rendered(plane: ControlPlane, *arguments: str) -> tuple[list[str], list[str], list[Any]]:
    """Arguments of the controller, Secrets that may be read, and the content of those that an upgrade makes."""
    told = helm(
        "template", RELEASE, CHART, "--dry-run=server", f"--kubeconfig={plane.kubeconfig}",
        f"--namespace={NAMESPACE}", *arguments,
    )  # fmt: skip
    documents: list[dict[str, Any]] = [one for one in yaml.load_all(told, yaml.CSafeLoader) if one]
    deployment = one(documents, "Deployment", "apostille-controller")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    rules = [rule for document in documents if document["kind"] == "Role" for rule in document["rules"]]
    names = [name for rule in rules if "secrets" in rule["resources"] for name in rule.get("resourceNames", ())]
    return container["args"], names, [document["data"] for document in documents if document["kind"] == "Secret"]


def test_the_certificate_of_0_1_0_is_taken_over_where_it_is_there() -> None:
    with control_plane() as plane:
        plane.create_namespace(NAMESPACE)
        arguments, readable, made = rendered(plane)
        assert (OF_CONTROLLER in arguments, BEFORE in readable, made) == (False, False, [])

        secret = {
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": BEFORE, "namespace": NAMESPACE},
            "data": {"ca.crt": "Q0E=", "tls.crt": "TEVBRg==", "tls.key": "S0VZ"},
        }  # fmt: skip
        plane.kubectl("create", "-f", "-", input=json.dumps(secret))
        arguments, readable, made = rendered(plane)
        assert (OF_CONTROLLER in arguments, BEFORE in readable, made) == (True, True, [secret["data"]])

        # Somebody else issues it: nothing of before is served.
        arguments, readable, made = rendered(plane, "--set=certificate.secretName=own")
        assert not any(argument.startswith("--certificate-inherited") for argument in arguments)
        assert (BEFORE in readable, made) == (False, [])
