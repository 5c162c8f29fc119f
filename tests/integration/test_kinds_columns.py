"""``kubectl get ftrust,wbind`` answers "is it working, and if not why", from statuses that the core has computed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from apostille.core.access import access
from apostille.core.desired import InForce, desired
from apostille.core.judge import Context
from apostille.core.resolve import World, resolve
from apostille.core.status import TrustFacts, binding_status, trust_status
from apostille.kinds import decode
from apostille.kinds.status import PodCounts, to_json
from apostille.model.identity import Issuer
from integration.kubectl_output import tables
from integration.plain_client import PlainClient, connected, namespace

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
ISSUER = Issuer("https://cluster.issuer.example", ("key-1",), ("https://kubernetes.default.svc",))
CONTEXT = Context(ISSUER, "apostille-system")
ACCOUNT = "123456789012"


@dataclass
class Stage:
    """Declarations in a namespace of their own, and what a controller would say of them."""

    control_plane: Any
    api: PlainClient
    prefix: str
    made: list[Mapping[str, Any]] = field(default_factory=list)

    def role(self, name: str = "reader", account: str = ACCOUNT) -> str:
        return f"arn:aws:iam::{account}:role/{name}"

    def trust(self, name: str, **spec: Any) -> None:
        """Allows the service accounts ``reader`` and ``writer`` of the stage's namespace to be the role ``reader``."""
        allow = {"namespace": self.prefix, "serviceAccounts": ["reader", "writer"], "targets": [self.role()]}
        party = {"type": "AWS", "aws": {"accountID": ACCOUNT, "region": "eu-west-1"}}
        base = {"relyingParty": party, "audience": f"https://{name}.sts.example", "allow": [allow]}
        self._create("FederationTrust", {"name": f"{self.prefix}-{name}"}, base | spec)

    def binding(self, name: str, trust: str, account: str = "reader", **spec: Any) -> None:
        base = {
            "trustRef": {"name": f"{self.prefix}-{trust}"},
            "subject": {"serviceAccountNames": [account]},
            "target": {"aws": {"roleARN": self.role()}},
        }
        self._create("WorkloadBinding", {"name": name, "namespace": self.prefix}, base | spec)

    def _create(self, kind: str, metadata: Mapping[str, str], spec: Mapping[str, Any]) -> None:
        document = {"apiVersion": "apostille.dev/v1alpha1", "kind": kind, "metadata": dict(metadata), "spec": spec}
        answer = self.api.create(document)
        assert answer.ok, answer.message
        self.made.append(answer.body)

    def world(self) -> World:
        trusts = [decode.federation_trust(d) for d in self.made if d["kind"] == "FederationTrust"]
        bindings = [decode.workload_binding(d) for d in self.made if d["kind"] == "WorkloadBinding"]
        return resolve(trusts, bindings, CONTEXT, datetime.now(UTC))

    def report(self, pods: Mapping[str, PodCounts] | None = None, *, reachable: bool = True) -> None:
        """Writes every status; ``reachable`` as long as the selection and the policies are in force."""
        world = self.world()
        now = datetime.now(UTC)
        want = desired(world, {})
        in_force = InForce(want, want, True) if reachable else InForce()
        for resolved in world.trusts.values():
            mine = world.of_trust(resolved.trust.name)
            facts = TrustFacts(mine, ISSUER, "", access(resolved.trust, mine, ISSUER), "", {}, in_force)
            self._apply("FederationTrust", {"name": resolved.trust.name}, to_json(trust_status(resolved, facts, now)))
        for bound in world.bindings:
            counts = (pods or {}).get(bound.binding.name, PodCounts())
            status = to_json(binding_status(bound, counts, in_force, now))
            metadata = {"name": bound.binding.name, "namespace": self.prefix}
            self._apply("WorkloadBinding", metadata, status)

    def _apply(self, kind: str, metadata: Mapping[str, str], status: Mapping[str, Any]) -> None:
        document = {"apiVersion": "apostille.dev/v1alpha1", "kind": kind, "metadata": metadata, "status": status}
        self.control_plane.kubectl(
            "apply", "--server-side", "--subresource=status", "--field-manager=tests", "-f", "-",
            input=json.dumps(document),
        )  # fmt: skip

    def shown(self, *options: str) -> dict[str, dict[str, str]]:
        """What ``kubectl get ftrust,wbind`` prints about the stage: name → column → cell."""
        output = self.control_plane.kubectl("get", "ftrust,wbind", "-n", self.prefix, *options).stdout
        return {
            name.rpartition("/")[2].removeprefix(f"{self.prefix}-"): row
            for name, row in tables(output)
            if self.prefix in name or "workloadbinding" in name
        }


@pytest.fixture
def stage(control_plane: Any) -> Iterator[Stage]:
    control_plane.kubectl("apply", "-f", str(ROOT / "crds"))
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/federationtrusts.apostille.dev")
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/workloadbindings.apostille.dev")
    with connected(control_plane.kubeconfig) as api:
        stage = Stage(control_plane, api, f"col-{secrets.token_hex(3)}")
        api.ensure(namespace(stage.prefix))
        try:
            yield stage
        finally:
            for document in stage.made:
                api.delete(document)


def _without_age(row: dict[str, str]) -> dict[str, str]:
    return {title: cell for title, cell in row.items() if title not in ("AGE", "NAME")}


def test_what_works_is_said_in_one_line(stage: Stage) -> None:
    stage.trust("aws", enforcement={"mode": "Enforce"})
    stage.binding("s3-reader", "aws")
    stage.report({"s3-reader": PodCounts(matched=3, injected=3)})

    shown = stage.shown()

    assert _without_age(shown["aws"]) == {
        "PARTY": "AWS", "AUDIENCE": "https://aws.sts.example", "ENFORCED": "Enforce", "CONFIGURED": "Rendered",
        "BINDINGS": "1", "READY": "True", "REASON": "Ready",
    }  # fmt: skip
    assert _without_age(shown["s3-reader"]) == {
        "TRUST": f"{stage.prefix}-aws", "TARGET": "role/reader", "PODS": "3", "INJECTED": "3", "STALE": "0",
        "MISSING": "0", "READY": "True", "REASON": "Ready",
    }  # fmt: skip


def test_what_does_not_work_says_why(stage: Stage) -> None:
    stage.trust("good")
    stage.trust("wild", audience="https://*.example")
    stage.trust("held", suspended=True)
    stage.binding("typo", "goood")
    stage.binding("of-wild", "wild")
    stage.binding("of-held", "held")
    stage.binding("wrong-account", "good", target={"aws": {"roleARN": stage.role(account="210987654321")}})
    stage.binding("not-allowed", "good", account="stranger")
    stage.binding("over", "good", account="writer", validity={"notAfter": "2020-01-01T00:00:00Z"})
    stage.binding("old-pods", "good")
    stage.report({"old-pods": PodCounts(matched=2, injected=1, missing=1)})

    shown = stage.shown("-o", "wide")

    assert {name: (row["READY"], row["REASON"]) for name, row in shown.items()} == {
        "good": ("True", "Ready"),
        "wild": ("False", "RuleViolated"),
        "held": ("False", "Suspended"),
        "typo": ("False", "TrustNotFound"),
        "of-wild": ("False", "TrustNotAccepted"),
        "of-held": ("False", "Suspended"),
        "wrong-account": ("False", "RuleViolated"),
        "not-allowed": ("False", "RuleViolated"),
        "over": ("False", "Expired"),
        "old-pods": ("True", "PodsMissing"),
    }
    assert shown["old-pods"]["MISSING"] == "1"
    assert shown["good"]["ENFORCED"] == "Audit"
    told = {name: row["MESSAGE"] for name, row in shown.items()}
    assert told["typo"].startswith("spec.trustRef.name: there is no FederationTrust")
    assert told["wild"].startswith("spec.audience: ")
    assert told["wrong-account"].startswith("spec.target.aws.roleARN: ")
    assert told["not-allowed"].startswith("spec.subject.serviceAccountNames[0]: ")
    assert "spec.validity.notAfter" in told["over"]
    assert "kubectl rollout restart" in told["old-pods"]


def test_an_endpoint_that_is_not_reached_is_said_as_such(stage: Stage) -> None:
    stage.trust("aws")
    stage.binding("s3-reader", "aws")
    stage.report(reachable=False)

    shown = stage.shown()

    assert (shown["aws"]["READY"], shown["aws"]["REASON"]) == ("False", "AdmissionUnreachable")
    assert (shown["s3-reader"]["READY"], shown["s3-reader"]["REASON"]) == ("False", "AdmissionUnreachable")


def test_the_category_lists_both_kinds(stage: Stage) -> None:
    stage.trust("aws")
    stage.binding("s3-reader", "aws")

    shown = stage.control_plane.kubectl("get", "apostille", "-n", stage.prefix, "-o", "name").stdout.split()

    assert f"federationtrust.apostille.dev/{stage.prefix}-aws" in shown
    assert "workloadbinding.apostille.dev/s3-reader" in shown


def test_the_quickstart_applies_in_order_and_is_accepted(stage: Stage) -> None:
    """In a namespace of the test's own; the rules, the schema and the API server have nothing against it."""
    files = sorted((ROOT / "examples" / "quickstart").glob("*.yaml"))
    text = "\n---\n".join(path.read_text() for path in files)
    text = text.replace("aws-prod", f"{stage.prefix}-aws-prod").replace(
        "namespace: payments", f"namespace: {stage.prefix}"
    )
    text = text.replace("name: payments\n", f"name: {stage.prefix}\n")
    documents = list(yaml.safe_load_all(text))
    try:
        for document in documents:
            if document["kind"] == "Namespace":
                stage.control_plane.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(document))
                continue
            applied = stage.control_plane.kubectl(
                "apply", "-o", "json", "-f", "-", input=json.dumps(document), check=False
            )
            assert (applied.returncode, applied.stderr) == (0, "")
            if document["apiVersion"].startswith("apostille.dev"):
                stage.made.append(json.loads(applied.stdout))
        world = stage.world()

        assert [resolved.findings for resolved in world.trusts.values()] == [()]
        assert [(bound.live, bound.findings) for bound in world.bindings] == [(True, ())]
    finally:
        for document in reversed(documents):
            if document["kind"] != "Namespace":
                stage.api.delete(document)
