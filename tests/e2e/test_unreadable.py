"""A trust that an older version stored and this one cannot read: it says so; what it closed, and its pods, stay out."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from apostille_testbed import ControlPlane, Installation, KubectlError, control_plane
from apostille_testbed.installation import conditions

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

ROOT = Path(__file__).parents[2]
CEILING = 60.0
AUDIENCE = "https://aws-old.sts.example"


def _older_kinds() -> list[dict[str, Any]]:
    """The kinds of a version that took longer tokens."""
    kinds = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml"))]
    spec = kinds[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["ceilings"]["properties"]["assertionSeconds"]["maximum"] = 1_000_000
    return kinds


def _stored_by_the_older(plane: ControlPlane) -> None:
    plane.kubectl("apply", "-f", "-", input=yaml.safe_dump_all(_older_kinds()))
    plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/federationtrusts.apostille.dev")
    trust = yaml.safe_load((ROOT / "examples" / "quickstart" / "10-trust.yaml").read_text())
    trust["metadata"]["name"] = "aws-old"
    trust["spec"] |= {"audience": AUDIENCE, "ceilings": {"assertionSeconds": 90_000}}
    plane.kubectl("apply", "-f", "-", input=json.dumps(trust))
    binding = yaml.safe_load((ROOT / "examples" / "quickstart" / "20-binding.yaml").read_text())
    binding["spec"]["trustRef"]["name"] = "aws-old"
    plane.kubectl("apply", "-f", "-", input=json.dumps(binding))


def _until(holds: Any, what: str) -> None:
    deadline = time.monotonic() + CEILING
    while not holds():
        assert time.monotonic() < deadline, f"not within {CEILING:.0f} s: {what}"
        time.sleep(0.1)


def test_an_unreadable_trust_says_so_and_keeps_its_audience_closed() -> None:
    with control_plane() as plane:
        plane.create_namespace("payments")
        plane.kubectl("create", "serviceaccount", "reader", "-n", "payments")
        _stored_by_the_older(plane)
        with Installation(plane, quick=True):
            trust = "/apis/apostille.dev/v1alpha1/federationtrusts/aws-old"
            ready = ("False", "Invalid")
            _until(lambda: conditions(plane.client.request("GET", trust)).get("Ready") == ready, "it says so")
            message = plane.client.request("GET", trust)["status"]["conditions"][0]["message"]
            assert "spec.ceilings.assertionSeconds" in message

            binding = "/apis/apostille.dev/v1alpha1/namespaces/payments/workloadbindings/s3-reader"
            blamed = ("False", "TrustNotAccepted")
            _until(lambda: conditions(plane.client.request("GET", binding)).get("Ready") == blamed, "its binding too")

            def refused() -> bool:
                try:
                    plane.kubectl("create", "token", "reader", "-n", "payments", "--audience", AUDIENCE)
                except KubectlError as error:
                    return "no live WorkloadBinding grants" in str(error)
                return False

            _until(refused, "its audience is closed")

            def kept_out() -> bool:
                try:
                    plane.kubectl("create", "--dry-run=server", "-f", str(ROOT / "examples/quickstart/30-pod.yaml"))
                except KubectlError as error:
                    return "FederationTrust aws-old cannot be read" in str(error)
                return False

            _until(kept_out, "a pod that is bound by it does not start without its identity")
