"""`helm uninstall` leaves nothing that refuses pods, whoever applied the kinds."""

from __future__ import annotations

import pytest

from apostille_testbed import KubectlError, Node
from apostille_testbed.chart import NAMESPACE, Release
from node.scene import ROOT, apply, output, pod, until

QUICKSTART = ROOT / "examples" / "quickstart"
AUDIENCE = "https://aws-prod.sts.example"


@pytest.mark.parametrize("kinds", ["chart", "kubectl"])
def test_removal_leaves_nothing_that_refuses_pods(node: Node, kinds: str) -> None:
    """With a binding in force; kinds of the release, or applied by kubectl before it and none of its business."""
    node.kubectl("delete", "crd", "federationtrusts.apostille.dev", "workloadbindings.apostille.dev", check=False)
    token = ("create", "token", "default", "--namespace=payments", f"--audience={AUDIENCE}")
    settings = ()
    if kinds == "kubectl":
        node.kubectl("apply", "--server-side", "-f", ROOT / "crds")
        settings = ("crds.enabled=false",)
    with Release(node, *settings):
        for file in ("00-namespace.yaml", "10-trust.yaml"):
            node.kubectl("apply", "-f", QUICKSTART / file)
        node.kubectl("wait", "--for=condition=Ready", "ftrust/aws-prod", "--timeout=60s")
        node.kubectl("apply", "-f", QUICKSTART / "20-binding.yaml")
        node.kubectl("wait", "--for=condition=Ready", "wbind/s3-reader", "-n", "payments", "--timeout=60s")
        with pytest.raises(KubectlError, match="no live WorkloadBinding"):
            node.kubectl(*token)

    group = "admissionregistration.k8s.io"
    generated = (
        f"mutatingwebhookconfigurations.{group},validatingwebhookconfigurations.{group},"
        f"validatingadmissionpolicies.{group},validatingadmissionpolicybindings.{group}"
    )
    until(lambda: node.kubectl("get", generated, "-o", "name").stdout == "", "what was generated to go")
    # The API server's policies are polled: in force for about a second more.
    until(
        lambda: node.kubectl(*token, check=False).returncode == 0,
        "tokens to be free again",
    )
    apply(node, pod("after", "payments", "true", serviceAccountName="reader"))
    assert output(node, "after", "payments") == ""
    node.kubectl("delete", "wbind,pod", "--all", "--namespace=payments", "--timeout=60s")
    node.kubectl("delete", "ftrust", "--all", "--timeout=60s")
    left = node.kubectl("get", "all,lease,secret,role,rolebinding", f"--namespace={NAMESPACE}", "-o", "name").stdout
    until(lambda: node.kubectl("get", "pod", f"--namespace={NAMESPACE}", "-o", "name").stdout == "", "its pods to end")
    assert [name for name in left.split() if not name.startswith("pod/")] == []
