"""`helm uninstall` leaves nothing that refuses pods, whoever applied the kinds."""

from __future__ import annotations

import pytest

from apostille_testbed import Node
from apostille_testbed.chart import NAMESPACE, Release
from node.scene import ROOT, SHORT, apply, output, pod, refusal, refusers, stored, until
from node.shared import remove_kinds

QUICKSTART = ROOT / "examples" / "quickstart"
AUDIENCE = "https://aws-prod.sts.example"


@pytest.mark.parametrize("kinds", ["chart", "kubectl"])
def test_removal_leaves_nothing_that_refuses_pods(bare: Node, kinds: str) -> None:
    """With a binding in force; kinds of the release, or applied by kubectl before it and none of its business."""
    node = bare
    remove_kinds(node)
    settings = [*SHORT]
    if kinds == "kubectl":
        node.kubectl("apply", "--server-side", "-f", ROOT / "crds")
        settings.append("crds.enabled=false")
    with Release(node, *settings):
        for file in ("00-namespace.yaml", "10-trust.yaml"):
            node.kubectl("apply", "-f", QUICKSTART / file)
        node.kubectl("wait", "--for=condition=Ready", "ftrust/aws-prod", "--timeout=60s")
        node.kubectl("apply", "-f", QUICKSTART / "20-binding.yaml")
        node.kubectl("wait", "--for=condition=Ready", "wbind/s3-reader", "-n", "payments", "--timeout=60s")
        assert "no live WorkloadBinding" in refusal(node, "default", "payments", AUDIENCE)

    until(lambda: refusers(node) == [], "what was generated to go")
    # The API server's policies are polled: in force for about a second more.
    until(lambda: refusal(node, "default", "payments", AUDIENCE) == "", "tokens to be free again")
    apply(node, pod("after", "payments", "true", serviceAccountName="reader"))
    assert output(node, "after", "payments") == ""
    node.kubectl("delete", "wbind,pod", "--all", "--namespace=payments", "--timeout=60s")
    node.kubectl("delete", "ftrust", "--all", "--timeout=60s")
    left = node.kubectl("get", "all,lease,secret,role,rolebinding", f"--namespace={NAMESPACE}", "-o", "name").stdout
    until(lambda: stored(node, "pods", NAMESPACE)["items"] == [], "its pods to end")
    assert [name for name in left.split() if not name.startswith("pod/")] == []
