"""Schemas of the APIs that the chart speaks to, by version, as strict JSON Schema, kept with the tests.

Derived from published Go modules (Apache-2.0): ``api/openapi-spec/swagger.json`` of ``k8s.io/kubernetes``, and the
CustomResourceDefinitions of the Prometheus operator and cert-manager. Descriptions are left out, and an object with
fields takes no others: what ``kubectl --validate=strict`` says, without a server of each version.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from apostille_testbed.golang import BuildError, environment, toolchain
from apostille_testbed.progress import Say

FOLDER = Path(__file__).parents[2] / "tests" / "chart" / "schemas"

KUBERNETES = {"1.31": "v1.31.14", "1.34": "v1.34.4", "1.37": "v1.37.2"}
"""The oldest version that the chart installs on, the oldest that is supported, the newest: name to module version."""

KINDS = (
    "api.admissionregistration.v1.MutatingWebhookConfiguration",
    "api.admissionregistration.v1.ValidatingAdmissionPolicy",
    "api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
    "api.admissionregistration.v1.ValidatingWebhookConfiguration",
    "api.apps.v1.Deployment",
    "api.coordination.v1.Lease",
    "api.core.v1.ConfigMap",
    "api.core.v1.Namespace",
    "api.core.v1.Secret",
    "api.core.v1.Service",
    "api.core.v1.ServiceAccount",
    "api.networking.v1.NetworkPolicy",
    "api.policy.v1.PodDisruptionBudget",
    "api.rbac.v1.ClusterRole",
    "api.rbac.v1.ClusterRoleBinding",
    "api.rbac.v1.Role",
    "api.rbac.v1.RoleBinding",
    "api.scheduling.v1.PriorityClass",
    "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
)
"""What a chart may hold, without the prefix ``io.k8s.``."""

EXTENSIONS = {
    ("github.com/prometheus-operator/prometheus-operator", "v0.85.0"): (
        "example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ),
    ("github.com/cert-manager/cert-manager", "v1.21.2"): (
        "deploy/crds/cert-manager.io_certificates.yaml",
        "deploy/crds/cert-manager.io_issuers.yaml",
    ),
}
"""Kinds of others: module and version to files with a CustomResourceDefinition each."""

Schema = dict[str, Any]

_GO = "1.24"
_PREFIX = "io.k8s."
# What the words of the swagger document mean in JSON Schema.
_SPECIAL: Mapping[str, Schema] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["integer", "string"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["number", "string"]},
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": {},
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": {"type": ["object", "boolean"]},
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": {"type": ["object", "array"]},
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": {
        "type": ["object", "array"]
    },
}
_KEPT = ("type", "format", "enum", "required", "pattern", "minimum", "maximum", "maxLength", "minLength")


def write(say: Say) -> None:
    """Downloads the modules and writes `FOLDER`. Raises BuildError."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, version in KUBERNETES.items():
        say(f"k8s.io/kubernetes {version}")
        swagger = json.loads((_module("k8s.io/kubernetes", version, say) / _SWAGGER).read_text())
        _write(f"kubernetes-{name}", kubernetes(swagger))
    extensions: dict[str, Schema] = {}
    for (module, version), files in EXTENSIONS.items():
        say(f"{module} {version}")
        directory = _module(module, version, say)
        for file in files:
            extensions |= extension(yaml.safe_load((directory / file).read_text()))
    _write("extensions", extensions)


_SWAGGER = "api/openapi-spec/swagger.json"


def kubernetes(swagger: Mapping[str, Any]) -> dict[str, Schema]:
    """``apiVersion/Kind`` to a reference, and the definitions that `KINDS` reach."""
    definitions = swagger["definitions"]
    found: dict[str, Schema] = {}
    waiting = [_PREFIX + kind for kind in KINDS]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = dict(_SPECIAL[name]) if name in _SPECIAL else _strict(definitions[name])
        waiting += _references(found[name])
    kinds = {
        "/".join(part for part in (of["group"], of["version"], of["kind"]) if part): _reference(_PREFIX + kind)
        for kind in KINDS
        for of in definitions[_PREFIX + kind]["x-kubernetes-group-version-kind"]
    }
    return kinds | dict(sorted(found.items()))


def extension(crd: Mapping[str, Any]) -> dict[str, Schema]:
    """``apiVersion/Kind`` to the schema, of every version that a CustomResourceDefinition serves."""
    spec = crd["spec"]
    made = {}
    for version in spec["versions"]:
        schema = _strict(version["schema"]["openAPIV3Schema"])
        schema["properties"].pop("status", None)
        schema["properties"] |= {"metadata": {"type": "object"}}
        made[f"{spec['group']}/{version['name']}/{spec['names']['kind']}"] = schema
    return made


def _strict(schema: Mapping[str, Any]) -> Schema:
    if "$ref" in schema:
        return _reference(schema["$ref"].rpartition("/")[2])
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made: Schema = {key: schema[key] for key in _KEPT if key in schema}
    if "properties" in schema:
        made["properties"] = {name: _strict(child) for name, child in schema["properties"].items()}
        made["additionalProperties"] = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    elif isinstance(schema.get("additionalProperties"), dict):
        made["additionalProperties"] = _strict(schema["additionalProperties"])
    if "items" in schema:
        made["items"] = _strict(schema["items"])
    return made


def _reference(name: str) -> Schema:
    return {"$ref": f"#/{name}"}


def _references(schema: Schema) -> Iterator[str]:
    if "$ref" in schema:
        yield schema["$ref"].removeprefix("#/")
    children = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    for child in children:
        if isinstance(child, dict):
            yield from _references(child)


def _module(module: str, version: str, say: Say) -> Path:
    with tempfile.TemporaryDirectory() as outside:
        done = subprocess.run(
            [toolchain(_GO, say).program(say), "mod", "download", "-json", f"{module}@{version}"],
            cwd=outside,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise BuildError(f"{module}@{version} cannot be had:\n{done.stderr.strip() or done.stdout.strip()}")
    return Path(json.loads(done.stdout)["Dir"])


def _write(name: str, schemas: Mapping[str, Schema]) -> None:
    # A definition a line: a difference between two versions can be read.
    lines = [f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in schemas.items()]
    (FOLDER / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
