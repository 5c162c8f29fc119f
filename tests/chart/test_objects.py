"""The objects of the chart: rights, references, hardening, what waits for whom."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest
import yaml

from apostille import __version__
from apostille.kinds import decode
from apostille.model import names
from apostille_generate.crds import files as generated
from apostille_testbed import ControlPlane, binaries, chart
from apostille_testbed.chart import CHART
from chart.api import VERSIONS, complaints
from chart.matrix import DIGEST, WHOLE
from chart.rendering import Objects, Values, objects, one, text


def rendered(values: Values | None = None) -> Objects:
    """The objects."""
    return objects(values or {})


def container(documents: Objects, deployment: str) -> dict[str, Any]:
    """The only container of a Deployment."""
    (found,) = one(documents, "Deployment", deployment)["spec"]["template"]["spec"]["containers"]
    return found


def test_the_version_is_the_packages() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__
    assert container(rendered(), "apostille-controller")["image"] == f"apostille:{__version__}"


def test_artifact_hub_is_told_of_the_images_and_of_kinds_that_are_taken() -> None:
    told = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    images = {one["image"] for one in yaml.safe_load(told["artifacthub.io/images"])}
    kinds = {(one["kind"], one["name"]) for one in yaml.safe_load(told["artifacthub.io/crds"])}
    trust, binding = yaml.safe_load(told["artifacthub.io/crdsExamples"])

    assert images == {f"apostille:{__version__}", f"apostille-exchange:{__version__}"}
    crds = [d for d in rendered() if d["kind"] == "CustomResourceDefinition"]
    assert kinds == {(d["spec"]["names"]["kind"], d["metadata"]["name"]) for d in crds}
    assert decode.federation_trust(trust).name == decode.workload_binding(binding).spec.trust_ref.name


def test_lint_finds_nothing() -> None:
    said = chart.helm("lint", "--strict", CHART)

    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said


def test_an_api_server_takes_every_object_strictly(control_plane: ControlPlane) -> None:
    control_plane.kubectl("create", "namespace", chart.NAMESPACE, check=False)

    done = control_plane.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-", input=text({}), check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(server dry run)") == len(rendered())


def test_the_testbeds_manifest_is_what_the_chart_renders() -> None:
    assert chart.MANIFEST.read_text() == chart.manifest(), "run hack/testbed manifest and commit the result"


def test_what_is_installed_without_helm_is_what_the_chart_renders() -> None:
    assert chart.INSTALL.read_text() == chart.install(), "run hack/testbed manifest and commit the result"
    built = subprocess.run(
        [binaries.kubectl(), "kustomize", chart.INSTALL.parent], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    documents = [document for document in yaml.safe_load_all(built) if document]

    assert {(d["kind"], d["metadata"]["name"]) for d in documents} == {
        ("Namespace", chart.NAMESPACE), *((d["kind"], d["metadata"]["name"]) for d in rendered()),
    }  # fmt: skip
    assert not [d for d in documents if d["kind"] == "Secret"], "nothing secret lies in a repository"
    for version in VERSIONS:
        assert [said for document in documents for said in complaints(version, document)] == []


@pytest.mark.parametrize("kind", ["federationtrusts", "workloadbindings"])
def test_the_charts_kinds_are_those_of_the_repository(kind: str) -> None:
    wanted = yaml.safe_load(generated(chart.ROOT)[f"crds/{kind}.yaml"])
    found = one(rendered(), "CustomResourceDefinition", f"{kind}.apostille.dev")

    assert found["spec"] == wanted["spec"]
    assert found["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    let_go = one(rendered({"crds": {"keep": False}}), "CustomResourceDefinition", f"{kind}.apostille.dev")
    assert "annotations" not in let_go["metadata"]
    assert not [d for d in rendered({"crds": {"enabled": False}}) if d["kind"] == "CustomResourceDefinition"]


def test_every_right_says_what_it_is_for() -> None:
    for file in sorted((CHART / "templates").rglob("rbac.yaml")):
        lines = file.read_text().splitlines()
        for number, line in enumerate(lines):
            if re.match(r"- (apiGroups|nonResourceURLs):", line):
                assert lines[number - 1].startswith("# "), f"{file}:{number + 1}"


def test_no_right_is_wider_than_a_list() -> None:
    for role in [d for d in rendered() if d["kind"] in ("ClusterRole", "Role")]:
        for rule in role["rules"]:
            assert "*" not in [*rule.get("resources", []), *rule["verbs"], *rule.get("apiGroups", [])]
            assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])
            if "secrets" in rule.get("resources", []):
                assert rule["resourceNames"] == [names.SERVING_SECRET]


def test_pods_can_be_evicted_only_where_the_installation_says_so_and_never_the_systems() -> None:
    def evicts(values: Values) -> tuple[list[Any], str]:
        documents = rendered(values)
        rules = one(documents, "ClusterRole", "apostille-controller")["rules"]
        policy = one(documents, "ValidatingAdmissionPolicy", "apostille-restrain-controller")
        first = policy["spec"]["validations"][0]["expression"]
        return [rule for rule in rules if "pods/eviction" in rule.get("resources", [])], first

    assert evicts({}) == ([], "request.operation == 'UPDATE' && !has(request.subResource)")
    rules, expression = evicts({"controller": {"repair": True}})
    assert rules == [{"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]}]
    assert all(f"'{name}'" in expression for name in (*names.SYSTEM_NAMESPACES, "apostille-system"))


def test_what_binds_the_controller_is_out_of_its_reach() -> None:
    documents = rendered()
    policies = {d["metadata"]["name"] for d in documents if d["kind"] == "ValidatingAdmissionPolicy"}
    written = {
        name
        for rule in one(documents, "ClusterRole", "apostille-controller")["rules"]
        if "patch" in rule["verbs"] and "admissionregistration.k8s.io" in rule["apiGroups"]
        for name in rule["resourceNames"]
    }

    assert policies == {"apostille-restrain-controller", "apostille-restrain-prefixes", "apostille-restrain-webhooks"}
    assert not policies & written
    generated = {"apostille-tokens-enforce-0", "apostille-tokens-enforce-0-probe"}
    assert {f"{names.SELECTION_PREFIX}0", names.KINDS_WEBHOOKS} | generated <= written


def test_the_anchor_has_its_name_and_no_rules() -> None:
    assert one(rendered(), "ClusterRole", names.ANCHOR)["rules"] == []


@pytest.mark.parametrize("process", ["controller", "admission"])
def test_pods_are_restricted_and_hold_nothing_but_what_they_need(process: str) -> None:
    documents = rendered()
    spec = one(documents, "Deployment", f"apostille-{process}")["spec"]["template"]["spec"]
    secure = container(documents, f"apostille-{process}")["securityContext"]

    assert spec["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert secure == {
        "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True,
    }  # fmt: skip
    assert "volumes" not in spec


def test_images_are_named_by_registry_and_digest() -> None:
    image = {"registry": "registry.example/platform/", "digest": DIGEST, "pullSecrets": [{"name": "pull"}]}
    exchange = {"registry": "registry.example", "digest": DIGEST, "tag": "ignored"}
    documents = rendered({"image": image, "exchange": {"image": exchange}})
    admission = container(documents, "apostille-admission")

    assert admission["image"] == f"registry.example/platform/apostille@{DIGEST}"
    assert f"--exchange-image=registry.example/apostille-exchange@{DIGEST}" in admission["args"]
    for name in ("apostille-admission", "apostille-controller"):
        spec = one(documents, "Deployment", name)["spec"]["template"]["spec"]
        assert spec["imagePullSecrets"] == [{"name": "pull"}]


def test_the_sidecars_pull_secret_is_made_where_it_is_asked_for() -> None:
    pull = {"dockerConfigJSON": "text", "namespaces": ["payments", "shop"]}
    documents = rendered({"exchange": {"pullSecret": pull}})

    made = [d["metadata"]["namespace"] for d in documents if d["metadata"]["name"] == "apostille-exchange-pull"]
    assert made == ["payments", "shop"]
    assert not [d for d in rendered() if d["metadata"]["name"] == "apostille-exchange-pull"]


def secrets(documents: Objects, role: str) -> list[tuple[list[str], list[str]]]:
    """Names and verbs of the rights on Secrets."""
    rules = one(documents, "Role", role)["rules"]
    return [(rule["resourceNames"], rule["verbs"]) for rule in rules if "secrets" in rule["resources"]]


def test_the_certificate_is_nobody_elses_secret() -> None:
    """The chart makes none; the controller applies it, by its name; replicas read it."""
    documents, own = rendered(), [names.SERVING_SECRET]

    assert not [d for d in documents if d["kind"] in ("Secret", "Certificate", "Issuer")]
    assert secrets(documents, "apostille-controller") == [(own, ["get", "list", "watch", "create", "patch", "delete"])]
    assert secrets(documents, "apostille-admission") == [(own, ["get", "list", "watch"])]
    assert f"--certificate-seconds={90 * 86400}" in container(documents, "apostille-controller")["args"]


def test_a_certificate_that_somebody_else_keeps() -> None:
    documents = rendered({"certificate": {"secretName": "own"}})

    assert not [d for d in documents if d["kind"] in ("Secret", "Certificate", "Issuer")]
    assert secrets(documents, "apostille-controller")[1] == (["own"], ["get", "list", "watch"])
    assert "--certificate-source=own" in container(documents, "apostille-controller")["args"]
    assert len(secrets(documents, "apostille-admission")) == 1


def test_a_certificate_by_cert_manager() -> None:
    """Its own authority, unless an issuer is named; what it issues is taken over by the controller."""
    documents = rendered({"certificate": {"mode": "cert-manager"}})

    issued = one(documents, "Certificate", "apostille-admission")["spec"]
    assert issued["dnsNames"] == ["apostille-admission.apostille-system.svc"]
    assert issued["issuerRef"] == {"group": "cert-manager.io", "kind": "Issuer", "name": "apostille-authority"}
    assert one(documents, "Issuer", "apostille-authority")["spec"]["ca"]["secretName"] == "apostille-authority"
    assert one(documents, "Certificate", "apostille-authority")["spec"]["isCA"] is True
    assert f"--certificate-source={issued['secretName']}" in container(documents, "apostille-controller")["args"]
    assert secrets(documents, "apostille-controller")[1][0] == [issued["secretName"]]

    issuer = {"name": "corporate", "kind": "ClusterIssuer", "group": "cert-manager.io"}
    named = rendered({"certificate": {"mode": "cert-manager", "issuerRef": issuer}})
    assert [d["metadata"]["name"] for d in named if d["kind"] in ("Issuer", "Certificate")] == ["apostille-admission"]
    assert one(named, "Certificate", "apostille-admission")["spec"]["issuerRef"] == issuer


def test_bindings_are_a_right_of_teams_and_trusts_of_the_platform() -> None:
    roles = [d for d in rendered() if d["kind"] == "ClusterRole"]
    aggregated = [d for d in roles if any("aggregate-to" in label for label in d["metadata"]["labels"])]
    platform = one(rendered(), "ClusterRole", "apostille-platform")

    assert len(aggregated) == 2
    for role in aggregated:
        assert {resource for rule in role["rules"] for resource in rule["resources"]} == {"workloadbindings"}
    assert "create" in platform["rules"][0]["verbs"]
    assert platform["rules"][0]["resources"] == ["federationtrusts"]
    assert not [d for d in rendered() if d["metadata"]["name"] == "apostille-platform" and "Binding" in d["kind"]]
    bound = one(rendered(WHOLE["everything"]), "ClusterRoleBinding", "apostille-platform")
    assert [subject["kind"] for subject in bound["subjects"]] == ["Group", "ServiceAccount"]


@pytest.mark.parametrize("process", ["controller", "admission"])
def test_replicas_spread_and_drain_one_by_one(process: str) -> None:
    documents = rendered()
    spec = one(documents, "Deployment", f"apostille-{process}")["spec"]["template"]["spec"]
    budget = one(documents, "PodDisruptionBudget", f"apostille-{process}")["spec"]
    selector = one(documents, "Deployment", f"apostille-{process}")["spec"]["selector"]

    assert [one["topologyKey"] for one in spec["topologySpreadConstraints"]] == [
        "topology.kubernetes.io/zone", "kubernetes.io/hostname",
    ]  # fmt: skip
    assert {one["whenUnsatisfiable"] for one in spec["topologySpreadConstraints"]} == {"ScheduleAnyway"}
    assert all(one["labelSelector"] == selector for one in spec["topologySpreadConstraints"])
    assert (budget["maxUnavailable"], budget["selector"]) == (1, selector)
    alone = rendered({process: {"replicas": 1}})
    assert not [
        d for d in alone if d["kind"] == "PodDisruptionBudget" and d["metadata"]["name"] == f"apostille-{process}"
    ], "a budget of one replica would hold up every drain"


def test_network_policies_let_in_the_api_server_and_out_to_it() -> None:
    opened = rendered({"networkPolicy": {"enabled": True, "apiServerCIDRs": ["10.0.0.1/32"]}})
    admission = one(opened, "NetworkPolicy", "apostille-admission")["spec"]
    controller = one(opened, "NetworkPolicy", "apostille-controller")["spec"]
    deployments = {
        name: one(opened, "Deployment", f"apostille-{name}")["spec"]["template"] for name in ("admission", "controller")
    }

    (ingress,) = admission["ingress"]
    api, ours = ingress["from"]
    assert (ingress["ports"], api) == ([{"protocol": "TCP", "port": "https"}], {"ipBlock": {"cidr": "10.0.0.1/32"}})
    # The controller looks which certificate each replica serves.
    labels = {name: deployments[name]["metadata"]["labels"] for name in deployments}
    assert ours["podSelector"]["matchLabels"].items() <= labels["controller"].items()
    (out,) = [rule for rule in controller["egress"] if rule["ports"] == [{"protocol": "TCP", "port": 10250}]]
    assert out["to"][0]["podSelector"]["matchLabels"].items() <= labels["admission"].items()
    assert controller["ingress"] == []
    for name, policy in (("admission", admission), ("controller", controller)):
        assert policy["podSelector"]["matchLabels"].items() <= deployments[name]["metadata"]["labels"].items()
        resolver, *_, api = policy["egress"]
        assert {port["port"] for port in resolver["ports"]} == {53}
        assert {port["port"] for port in api["ports"]} == {443, 6443}
        assert api["to"] == [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
    (port,) = [p for c in deployments["admission"]["spec"]["containers"] for p in c["ports"]]
    assert port["name"] == "https"


@pytest.mark.parametrize("process", ["controller", "admission"])
def test_a_service_monitor_finds_a_service_that_finds_the_pods(process: str) -> None:
    documents = rendered({"serviceMonitor": {"enabled": True}})
    monitor = one(documents, "ServiceMonitor", f"apostille-{process}")["spec"]
    pods = one(documents, "Deployment", f"apostille-{process}")["spec"]["template"]["metadata"]["labels"]

    (service,) = [
        d for d in documents
        if d["kind"] == "Service" and monitor["selector"]["matchLabels"].items() <= d["metadata"]["labels"].items()
    ]  # fmt: skip
    assert service["spec"]["selector"].items() <= pods.items()
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert monitor["jobLabel"] in service["metadata"]["labels"]


def test_on_the_nodes_network_no_rollout_needs_a_second_port() -> None:
    spec = one(rendered(WHOLE["eks-overlay"]), "Deployment", "apostille-admission")["spec"]

    assert spec["template"]["spec"]["hostNetwork"] is True
    assert spec["template"]["spec"]["dnsPolicy"] == "ClusterFirstWithHostNet"
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
