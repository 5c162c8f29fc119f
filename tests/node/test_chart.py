"""The chart by what it renders: rights, references, refusals. No node is needed."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from apostille import __version__
from apostille.model import names
from apostille_testbed import ControlPlane, chart
from apostille_testbed.chart import CHART, HelmError, template

pytestmark = pytest.mark.usefixtures("helm")

DIGEST = f"sha256:{'a' * 64}"


def rendered(*settings: str) -> list[dict[str, Any]]:
    """The objects."""
    return [document for document in yaml.safe_load_all(template(*settings)) if document]


def one(documents: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The object of that kind and name."""
    (found,) = [d for d in documents if (d["kind"], d["metadata"]["name"]) == (kind, name)]
    return found


def container(documents: list[dict[str, Any]], deployment: str) -> dict[str, Any]:
    """The only container of a Deployment."""
    (found,) = one(documents, "Deployment", deployment)["spec"]["template"]["spec"]["containers"]
    return found


def test_the_version_is_the_packages() -> None:
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__
    assert container(rendered(), "apostille-controller")["image"] == f"apostille:{__version__}"


def test_lint_finds_nothing() -> None:
    said = chart.helm("lint", "--strict", CHART)

    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said


def test_an_api_server_takes_every_object_strictly(control_plane: ControlPlane) -> None:
    control_plane.kubectl("create", "namespace", chart.NAMESPACE, check=False)

    done = control_plane.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "-f", "-", input=template(), check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(server dry run)") == len(rendered())


def test_the_testbeds_manifest_is_what_the_chart_renders() -> None:
    assert chart.MANIFEST.read_text() == chart.manifest(), "run hack/testbed manifest and commit the result"


def test_the_charts_kinds_are_those_of_the_repository() -> None:
    for kind in (CHART / "crds").iterdir():
        assert kind.read_text() == (chart.ROOT / "crds" / kind.name).read_text()
    assert len(list((CHART / "crds").iterdir())) == 2


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
            assert "secrets" not in rule.get("resources", [])


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
    items = [item["path"] for volume in spec["volumes"] for item in volume["secret"]["items"]]
    assert items == (["ca.crt"] if process == "controller" else ["tls.crt", "tls.key"])


def test_images_are_named_by_registry_and_digest() -> None:
    documents = rendered(
        "image.registry=registry.example/platform/", f"image.digest={DIGEST}", "image.pullSecrets[0].name=pull",
        "exchange.image.registry=registry.example", f"exchange.image.digest={DIGEST}", "exchange.image.tag=ignored",
    )  # fmt: skip
    admission = container(documents, "apostille-admission")

    assert admission["image"] == f"registry.example/platform/apostille@{DIGEST}"
    assert f"--exchange-image=registry.example/apostille-exchange@{DIGEST}" in admission["args"]
    for name in ("apostille-admission", "apostille-controller"):
        spec = one(documents, "Deployment", name)["spec"]["template"]["spec"]
        assert spec["imagePullSecrets"] == [{"name": "pull"}]


def test_the_sidecars_pull_secret_is_made_where_it_is_asked_for() -> None:
    documents = rendered("exchange.pullSecret.dockerConfigJSON=text", "exchange.pullSecret.namespaces={payments,shop}")

    made = [d["metadata"]["namespace"] for d in documents if d["metadata"]["name"] == "apostille-exchange-pull"]
    assert made == ["payments", "shop"]
    assert not [d for d in rendered() if d["metadata"]["name"] == "apostille-exchange-pull"]


def secrets(documents: list[dict[str, Any]], role: str) -> list[tuple[list[str], list[str]]]:
    """Names and verbs of the rights on Secrets."""
    rules = one(documents, "Role", role)["rules"]
    return [(rule["resourceNames"], rule["verbs"]) for rule in rules if "secrets" in rule["resources"]]


def test_the_certificate_is_nobody_elses_secret() -> None:
    """The chart makes none; the controller applies it, by its name; replicas read it."""
    documents = rendered()
    own = [names.SERVING_SECRET]

    assert not [d for d in documents if d["kind"] in ("Secret", "Certificate", "Issuer")]
    assert secrets(documents, "apostille-controller") == [(own, ["get", "list", "watch", "create", "patch", "delete"])]
    assert secrets(documents, "apostille-admission") == [(own, ["get", "list", "watch"])]
    assert f"--certificate-seconds={90 * 86400}" in container(documents, "apostille-controller")["args"]
    for name in ("apostille-admission", "apostille-controller"):
        assert "volumes" not in one(documents, "Deployment", name)["spec"]["template"]["spec"]


def test_a_certificate_that_somebody_else_keeps() -> None:
    documents = rendered("certificate.secretName=own")

    assert not [d for d in documents if d["kind"] in ("Secret", "Certificate", "Issuer")]
    assert secrets(documents, "apostille-controller")[1] == (["own"], ["get", "list", "watch"])
    assert "--certificate-source=own" in container(documents, "apostille-controller")["args"]
    assert len(secrets(documents, "apostille-admission")) == 1


def test_a_certificate_by_cert_manager() -> None:
    """Its own authority, unless an issuer is named; what it issues is taken over by the controller."""
    documents = rendered("certificate.mode=cert-manager")

    issued = one(documents, "Certificate", "apostille-admission")["spec"]
    assert issued["dnsNames"] == ["apostille-admission.apostille-system.svc"]
    assert issued["issuerRef"] == {"group": "cert-manager.io", "kind": "Issuer", "name": "apostille-authority"}
    assert one(documents, "Issuer", "apostille-authority")["spec"]["ca"]["secretName"] == "apostille-authority"
    assert one(documents, "Certificate", "apostille-authority")["spec"]["isCA"] is True
    assert f"--certificate-source={issued['secretName']}" in container(documents, "apostille-controller")["args"]
    assert secrets(documents, "apostille-controller")[1][0] == [issued["secretName"]]

    named = rendered(
        "certificate.mode=cert-manager", "certificate.issuerRef.name=corporate",
        "certificate.issuerRef.kind=ClusterIssuer", "certificate.issuerRef.group=cert-manager.io",
    )  # fmt: skip
    assert [d["metadata"]["name"] for d in named if d["kind"] in ("Issuer", "Certificate")] == ["apostille-admission"]
    reference = one(named, "Certificate", "apostille-admission")["spec"]["issuerRef"]
    assert reference == {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": "corporate"}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("image.tga=x", "tga"),
        ("exchange.image.digest=latest", "digest"),
        ("controller.replicas=many", "replicas"),
        ("certificate.mode=helm", "mode"),
        ("exchange.pullSecret.namespaces={payments}", "dockerConfigJSON is not"),
    ],
)
def test_a_wrong_value_is_refused_by_name(setting: str, said: str) -> None:
    with pytest.raises(HelmError, match=said):
        template(setting)


def test_the_schema_knows_exactly_the_values_there_are() -> None:
    def same(values: dict[str, Any], schema: dict[str, Any], path: str) -> None:
        known = schema["properties"].keys() - ({"global"} if path == "" else set())
        assert values.keys() == known, path
        for key, value in values.items():
            if isinstance(value, dict) and "properties" in schema["properties"][key]:
                same(value, schema["properties"][key], f"{path}.{key}")

    schema = json.loads((CHART / "values.schema.json").read_text())
    same(yaml.safe_load((CHART / "values.yaml").read_text()), schema, "")
