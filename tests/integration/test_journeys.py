"""The journeys of the platform engineer and of the application engineer, typed as they type them."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from apostille.model.names import DOCS
from apostille_testbed import binaries
from integration.cluster import Cluster, Json, Team, role
from integration.kubectl_output import explained, tables
from integration.plain_client import until

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Quickstart:
    """``examples/quickstart`` under names of its own."""

    cluster: Cluster
    directory: Path
    ns: str
    trust: str

    def apply(self) -> subprocess.CompletedProcess[str]:
        """In one go, as README says."""
        return self.cluster.kubectl("apply", "-f", str(self.directory))

    def get(self, *what: str, namespace: str = "") -> Json:
        """One object."""
        found: Json = json.loads(self.cluster.kubectl("get", *what, "-n", namespace or self.ns, "-o", "json").stdout)
        return found

    def shown(self, *options: str) -> dict[str, dict[str, str]]:
        """``kubectl get ftrust,wbind``: name → column → cell, of this quickstart's two objects."""
        rows = tables(self.cluster.kubectl("get", "ftrust,wbind", "-n", self.ns, *options).stdout)
        by_name = {name.rpartition("/")[2]: row for name, row in rows}
        return {name: by_name[name] for name in (self.trust, "s3-reader")}

    def wait(self) -> None:
        """As a deployment script waits."""
        for what in (f"ftrust/{self.trust}", "wbind/s3-reader"):
            self.cluster.kubectl("wait", "--for=condition=Ready", "--timeout=60s", what, "-n", self.ns)
        until(lambda: self.shown()["s3-reader"]["INJECTED"] == "1", "the pod is counted", 0.1)


def _renamed(cluster: Cluster, directory: Path) -> Quickstart:
    mark = secrets.token_hex(3)
    quickstart = Quickstart(cluster, directory, f"payments-{mark}", f"aws-{mark}")
    for path in (ROOT / "examples" / "quickstart").glob("*.yaml"):
        text = path.read_text().replace("aws-prod", quickstart.trust)
        text = text.replace("namespace: payments", f"namespace: {quickstart.ns}")
        (directory / path.name).write_text(text.replace("name: payments\n", f"name: {quickstart.ns}\n"))
    return quickstart


@pytest.fixture(scope="module")
def quickstart(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quickstart]:
    """Applied and in force."""
    made = _renamed(cluster, tmp_path_factory.mktemp("quickstart"))
    made.apply()
    made.wait()
    yield made
    cluster.kubectl("delete", "--wait=false", "-f", str(made.directory))


@pytest.mark.parametrize("turn", range(3))
def test_the_first_pod_of_one_apply_has_its_identity(cluster: Cluster, tmp_path: Path, turn: int) -> None:
    """Namespace, service account, trust, binding and pod in one go, under Enforce: nothing to wait for or repeat."""
    made = _renamed(cluster, tmp_path)

    applied = made.apply()
    pod = made.get("pod", "app")

    assert applied.stderr == ""
    assert [line.rpartition(" ")[2] for line in applied.stdout.splitlines()] == ["created"] * 5
    (container,) = pod["spec"]["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert environment["AWS_ROLE_ARN"] == "arn:aws:iam::123456789012:role/payments-reader"
    assert environment["AWS_WEB_IDENTITY_TOKEN_FILE"] == "/var/run/secrets/apostille.dev/s3-reader/token"
    made.wait()
    assert {name: (row["READY"], row["REASON"]) for name, row in made.shown().items()} == {
        made.trust: ("True", "Ready"),
        "s3-reader": ("True", "Ready"),
    }
    assert made.apply().stdout.count("unchanged") == 5
    cluster.kubectl("delete", "--wait=false", "-f", str(tmp_path))


def test_get_answers_whether_it_works(quickstart: Quickstart) -> None:
    shown = quickstart.shown("-o", "wide")

    issuer = quickstart.cluster.installation.control_plane.issuer
    audience = f"https://{quickstart.trust}.sts.example"
    trust, binding = shown[quickstart.trust], shown["s3-reader"]
    assert {title: cell for title, cell in trust.items() if title not in ("NAME", "AGE")} == {
        "PARTY": "AWS", "AUDIENCE": audience, "ENFORCED": "Enforce", "CONFIGURED": "Rendered", "BINDINGS": "1",
        "READY": "True", "REASON": "Ready", "MESSAGE": "as declared", "ISSUER": issuer,
    }  # fmt: skip
    assert {title: cell for title, cell in binding.items() if title not in ("NAME", "AGE")} == {
        "TRUST": quickstart.trust, "TARGET": "role/payments-reader", "PODS": "1", "INJECTED": "1", "STALE": "0",
        "MISSING": "0", "READY": "True", "REASON": "Ready", "MESSAGE": "as declared", "AUDIENCE": audience,
    }  # fmt: skip


def test_the_status_says_what_the_relying_party_will_see(quickstart: Quickstart) -> None:
    trust, binding = quickstart.get("ftrust", quickstart.trust), quickstart.get("wbind", "s3-reader")

    plane = quickstart.cluster.installation.control_plane
    published = json.loads(quickstart.cluster.kubectl("get", "--raw", "/openid/v1/jwks").stdout)
    keys = [key["kid"] for key in published["keys"]]
    assert trust["status"]["issuer"] == {"url": plane.issuer, "keyIDs": keys}
    assert trust["status"]["bindings"] == {"live": 1, "total": 1}
    assert binding["status"]["subjects"] == [f"system:serviceaccount:{quickstart.ns}:reader"]
    assert binding["status"]["audience"] == f"https://{quickstart.trust}.sts.example"
    assert binding["status"]["phase"] == "Live"


def kstatus(stored: Json) -> str:
    """What kstatus, and with it Flux, Argo CD and ``kubectl wait``, makes of an object (sigs.k8s.io/cli-utils)."""
    status = stored.get("status", {})
    conditions = {condition["type"]: condition for condition in status.get("conditions", ())}
    if status.get("observedGeneration", 0) != stored["metadata"]["generation"]:
        return "InProgress"
    if conditions["Reconciling"]["status"] == "True":
        return "InProgress"
    if conditions["Stalled"]["status"] == "True":
        return "Failed"
    return "Current" if conditions["Ready"]["status"] == "True" else "InProgress"


def test_delivery_tools_see_both_as_current(quickstart: Quickstart) -> None:
    for what in (("ftrust", quickstart.trust), ("wbind", "s3-reader")):
        stored = quickstart.get(*what)
        assert kstatus(stored) == "Current"
        kinds = [condition["type"] for condition in stored["status"]["conditions"]]
        assert len(kinds) == len(set(kinds)) >= 5
        generation = stored["metadata"]["generation"]
        assert {condition["observedGeneration"] for condition in stored["status"]["conditions"]} == {generation}


def test_nothing_that_is_written_shows_as_drift(quickstart: Quickstart) -> None:
    """``kubectl diff`` exits with 1 where the cluster differs from the files."""
    declarations = [str(quickstart.directory / name) for name in ("10-trust.yaml", "20-binding.yaml")]

    shown = quickstart.cluster.kubectl("diff", *(f"--filename={path}" for path in declarations), check=False)

    assert (shown.returncode, shown.stdout) == (0, "")


def test_describe_ends_with_what_happened(quickstart: Quickstart) -> None:
    for what in (f"ftrust/{quickstart.trust}", "wbind/s3-reader"):
        shown = quickstart.cluster.kubectl("describe", what, "-n", quickstart.ns).stdout
        _, _, events = shown.partition("\nEvents:")
        lines = [line.split() for line in events.splitlines() if "apostille.dev/controller" in line]
        assert [line[0] for line in lines] == ["Normal"] * len(lines)
        assert "Ready" in {line[1] for line in lines}


def test_a_trust_that_does_not_work_says_why_in_an_event(team: Team) -> None:
    binding = team.binding(trust="forgotten")
    team.declare(binding)
    message = team.until_ready(binding, "TrustNotFound")

    assert message == (
        "spec.trustRef.name: there is no FederationTrust forgotten; ask the platform team, or correct the name"
    )

    def events() -> list[list[str]]:
        columns = "-o=jsonpath={range .items[*]}{.type}{'\\t'}{.reason}{'\\t'}{.message}{'\\n'}{end}"
        found = team.cluster.kubectl("get", "events", "-n", team.ns, columns).stdout
        return [line.split("\t") for line in found.splitlines()]

    until(lambda: bool(events()), "the event", 0.1)
    assert events() == [["Warning", "TrustNotFound", f"{message} [{DOCS}/reasons/TrustNotFound]"]]


@pytest.mark.parametrize("kind", ["federationtrust", "workloadbinding"])
def test_explain_reads_like_api_documentation(cluster: Cluster, kind: str) -> None:
    """Every field, however deep, has a sentence that begins with its name, as the API conventions ask."""
    paths, read = [f"{kind}.spec", f"{kind}.status"], 0
    while paths:
        path = paths.pop()
        fields = explained(cluster.kubectl("explain", path).stdout)
        assert fields, path
        for name, (of, text) in fields.items():
            assert text.startswith(f"{name} "), f"{path}.{name}: {text!r}"
            assert text.endswith("."), f"{path}.{name}: {text!r}"
            read += 1
            if "Object" in of:
                paths.append(f"{path}.{name}")

    assert read > 30


def apostille(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line."""
    command = [sys.executable, "-m", "apostille.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def plugin(directory: Path, kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``kubectl apostille …``, as the entry point ``kubectl-apostille`` of the package makes it work."""
    program = directory / "kubectl-apostille"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m apostille.cli.main "$@"\n')
    program.chmod(0o755)
    path = f"{directory}:{os.environ['PATH']}"
    return subprocess.run(
        [str(binaries.kubectl()), "apostille", *arguments], capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PATH": path, "KUBECONFIG": str(kubeconfig)},
    )  # fmt: skip


def test_render_prints_what_the_relying_party_must_hold(quickstart: Quickstart, tmp_path: Path) -> None:
    plane = quickstart.cluster.installation.control_plane
    where = ("--kubeconfig", str(plane.kubeconfig))
    stored = quickstart.get("configmap", f"apostille-access-{quickstart.trust}", namespace="apostille-system")

    printed = json.loads(apostille("render", quickstart.trust, *where, "-o", "json").stdout)
    written = apostille("render", quickstart.trust, *where, "--directory", str(tmp_path / "out"))
    plain = plugin(tmp_path, plane.kubeconfig, "render", quickstart.trust)

    assert {name: json.loads(text) for name, text in stored["data"].items()} == printed
    provider, role_file = sorted(printed)
    assert printed[provider] == {"Url": plane.issuer, "ClientIDList": [f"https://{quickstart.trust}.sts.example"]}
    (statement,) = json.loads(printed[role_file]["AssumeRolePolicyDocument"])["Statement"]
    host = plane.issuer.removeprefix("https://")
    assert statement["Condition"]["StringEquals"] == {
        f"{host}:aud": f"https://{quickstart.trust}.sts.example",
        f"{host}:sub": f"system:serviceaccount:{quickstart.ns}:reader",
    }
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == stored["data"]
    assert written.stdout.split() == [str(tmp_path / "out" / name) for name in sorted(stored["data"])]
    assert all(text in plain.stdout for text in stored["data"].values())
    assert stored["metadata"]["ownerReferences"][0]["name"] == quickstart.trust


def test_render_says_why_there_is_nothing(team: Team) -> None:
    where = ("--kubeconfig", str(team.cluster.installation.control_plane.kubeconfig))
    unmanaged = team.trust(configuration={"mode": "None"})
    team.declare(unmanaged)
    team.until_ready(unmanaged)

    nothing, nobody = apostille("render", team.ns, *where), apostille("render", "nobody", *where)

    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr == (
        f"apostille: nothing is rendered for {team.ns}: the relying party is configured by somebody else\n"
    )
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert nobody.stderr == 'apostille: federationtrusts.apostille.dev "nobody" not found\n'


def test_a_mistake_is_refused_with_field_fault_remedy_rule_and_link(team: Team) -> None:
    """As kubectl prints it; the whole table is in test_bad_input."""
    wrong = team.trust(audience="https://*.sts.example")

    applied = team.cluster.kubectl("apply", "-f", "-", input=json.dumps(wrong), check=False)

    assert applied.returncode == 1
    assert applied.stderr == (
        'Error from server (Forbidden): error when creating "STDIN": admission webhook "kinds.apostille.dev" denied '
        "the request: spec.audience: 'https://*.sts.example' contains '*'; an audience is compared byte for byte. "
        "Write one exact audience of at most 255 printable characters, without *, ? or spaces. "
        "[APO103 X-AUD-WILDCARD, https://apostille.dev/docs/rules/APO103]\n"
    )


def test_a_pod_older_than_its_binding_is_told_how_to_catch_up(team: Team) -> None:
    team.run()
    binding = team.binding()
    team.declare(team.trust(), binding)

    message = team.until_ready(binding, "PodsMissing")

    assert f"kubectl rollout restart -n {team.ns}" in message
    assert team.get(binding)["status"]["pods"] == {"matched": 1, "injected": 0, "stale": 0, "missing": 1}


def test_a_binding_may_come_before_its_trust(team: Team) -> None:
    binding, trust = team.binding(), team.trust()
    answer = team.api.create(binding)
    assert answer.warnings == (
        f"spec.trustRef.name: there is no FederationTrust {team.ns} yet; the binding waits for it, and pods created "
        "before it is there have no identity",
    )
    team.until_ready(binding, "TrustNotFound")

    team.declare(trust)

    team.until_ready(binding)
    assert role() in json.dumps(team.run())
    team.delete(binding)
