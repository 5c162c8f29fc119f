"""Commands that read a real cluster: `lint --cluster`, `render`; what they need not be told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from cli.test_lint import run
from integration.cluster import Cluster, Team

pytestmark = pytest.mark.integration


def admin(cluster: Cluster) -> str:
    return f"--kubeconfig={cluster.installation.control_plane.kubeconfig}"


def test_live_trusts_judge_bindings_that_are_files(
    cluster: Cluster, settled: Team, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "b.yaml"
    path.write_text(yaml.safe_dump_all([settled.binding("new", "writer"), settled.binding("bad", "stranger")]))
    code, out, _ = run(capsys, "lint", str(path), "-o", "json")
    assert (code, json.loads(out)["findings"]) == (0, [])
    code, out, _ = run(capsys, "lint", str(path), "-o", "json", "--cluster", admin(cluster))
    found = [one for one in json.loads(out)["findings"] if one["file"] == str(path)]
    assert (code, [(one["rule"], one["object"]) for one in found]) == (
        1, [("APO401", f"WorkloadBinding {settled.ns}/bad")],
    )  # fmt: skip


def test_terraform_is_printed_without_asking_the_trust_for_it(
    cluster: Cluster, settled: Team, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "render", settled.ns, "-o", "terraform", admin(cluster))
    assert code == 0
    made = json.loads(out)
    assert f"system:serviceaccount:{settled.ns}:reader" in json.dumps(made)
    assert set(made["resource"]) == {"aws_iam_openid_connect_provider", "aws_iam_role"}
    assert run(capsys, "render", settled.ns, "-o", "cli", admin(cluster))[1].startswith("#!/bin/sh\n")
