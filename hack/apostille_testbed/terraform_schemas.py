"""What Terraform providers take for the resources that Apostille renders, kept with the tests.

A provider says its schema by itself, but only once it is installed from a registry of providers, and most are too big
to build. Its bindings for other languages are generated from that schema, and are on PyPI:

* ``cdktn-provider-*`` (CDK Terrain, MPL-2.0): Terraform's own names and types.
* ``pulumi-*`` (Apache-2.0), of providers that have no other: names of lists are in the plural, lists of one are
  unpacked, see `_Bridged`.

Only facts are kept: names, types, what is required.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apostille_testbed.golang import BuildError, installer
from apostille_testbed.progress import Say

FOLDER = Path(__file__).parents[2] / "tests" / "parties" / "schemas" / "terraform"

Schema = dict[str, Any]


@dataclass(frozen=True)
class _Binding:
    """A provider by its package for CDK Terrain."""

    source: str
    package: str
    version: str
    resources: tuple[str, ...]


@dataclass(frozen=True)
class _Bridged:
    """A provider by its package for Pulumi."""

    source: str
    package: str
    version: str
    resources: Mapping[str, str]
    """Resource to the module that has it."""
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By resource, Pulumi's name to Terraform's: Pulumi puts lists in the plural."""
    required: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By resource, what Terraform requires and Pulumi makes up."""


SOURCES: tuple[_Binding | _Bridged, ...] = (
    _Binding("hashicorp/aws", "cdktn-provider-aws", "25.8.1", ("aws_iam_openid_connect_provider", "aws_iam_role")),
    _Binding(
        "hashicorp/google", "cdktn-provider-google", "21.1.0",
        (
            "google_iam_workload_identity_pool", "google_iam_workload_identity_pool_provider",
            "google_service_account_iam_member",
        ),
    ),
    _Binding(
        "hashicorp/azuread", "cdktn-provider-azuread", "17.1.0",
        ("azuread_application_federated_identity_credential",),
    ),
    _Binding(
        "hashicorp/azurerm", "cdktn-provider-azurerm", "18.9.0",
        ("azurerm_federated_identity_credential",),
    ),
    _Binding(
        "hashicorp/vault", "cdktn-provider-vault", "18.3.0",
        ("vault_jwt_auth_backend", "vault_jwt_auth_backend_role"),
    ),
    _Binding("hashicorp/random", "cdktn-provider-random", "15.0.1", ("random_password",)),
    _Binding(
        "databricks/databricks", "cdktn-provider-databricks", "18.11.0",
        ("databricks_service_principal_federation_policy",),
    ),
    _Binding("hashicorp/hcp", "cdktn-provider-hcp", "13.1.0", ("hcp_iam_workload_identity_provider",)),
    _Binding(
        "snowflakedb/snowflake", "cdktn-provider-snowflake", "18.3.0",
        (
            "snowflake_service_user", "snowflake_execute", "snowflake_authentication_policy",
            "snowflake_user_authentication_policy_attachment",
        ),
    ),
    _Bridged(
        "keycloak/keycloak", "pulumi-keycloak", "6.14.1",
        {
            "keycloak_kubernetes_identity_provider": "kubernetes_identity_provider",
            "keycloak_openid_client": "openid/client",
            "keycloak_user": "user",
        },
        names={"keycloak_user": {"federated_identities": "federated_identity"}},
        required={"keycloak_openid_client": ("client_id",)},
    ),
    _Bridged(
        "aliyun/alicloud", "pulumi-alicloud", "4.0.0",
        {"alicloud_ims_oidc_provider": "ims/oidc_provider", "alicloud_ram_role": "ram/role"},
    ),
    _Bridged("aminueza/minio", "pulumi-minio", "0.17.1", {"minio_iam_policy": "iam_policy"}),
)  # fmt: skip

_TEXTS = ("claim_name", "claim_prefix", "comment", "display_name", "name", "redirect_uri", "role_policy", "scopes")

DOCUMENTED: Mapping[str, Mapping[str, Schema]] = {
    # No package has it, and the provider itself is not built here (AGPL-3.0). From its documentation:
    # https://registry.terraform.io/providers/aminueza/minio/latest/docs/resources/iam_idp_openid
    "aminueza/minio": {
        "minio_iam_idp_openid": {
            **{name: {"type": "string", "required": True} for name in ("client_id", "client_secret", "config_url")},
            **{name: {"type": "string"} for name in _TEXTS},
            "enable": {"type": "bool"},
            "id": {"type": "any", "computed": True},
            "restart_required": {"type": "any", "computed": True},
        }
    },
}
"""By provider, resources that no package has, as its documentation has them."""


def write(say: Say) -> None:
    """Downloads the packages and writes `FOLDER`, a file a provider. Raises BuildError."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for of in SOURCES:
        say(f"{of.package} {of.version}")
        with tempfile.TemporaryDirectory() as folder:
            version, resources = _cdktf(of, Path(folder)) if isinstance(of, _Binding) else _pulumi(of, Path(folder))
        made = {
            "provider": of.source,
            "version": version,
            "from": f"{of.package} {of.version}",
            "documented": sorted(DOCUMENTED.get(of.source, ())),
            "resources": resources | dict(DOCUMENTED.get(of.source, {})),
        }
        (FOLDER / f"{of.source.partition('/')[2]}.json").write_text(text(made))


def text(provider: Mapping[str, Any]) -> str:
    """An attribute a line: a difference between two versions can be read."""
    told = {key: value for key, value in provider.items() if key != "resources" and value}
    head = "".join(f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in told.items())
    resources = []
    for name, attributes in sorted(provider["resources"].items()):
        lines = [f"   {json.dumps(key)}: {json.dumps(value)}" for key, value in sorted(attributes.items())]
        resources.append(f"  {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n  }")
    return "{\n" + head + ' "resources": {\n' + ",\n".join(resources) + "\n }\n}\n"


def _cdktf(of: _Binding, folder: Path) -> tuple[str, dict[str, Schema]]:
    # A binding for Python brings the code of JavaScript that it runs.
    (archive,) = _installed(of, folder).glob("_jsii/*.tgz")
    wanted = {
        f"package/lib/{kind.partition('_')[2].replace('_', '-')}/index.{end}": (kind, end)
        for kind in of.resources
        for end in ("js", "d.ts")
    }
    found: dict[tuple[str, str], str] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name in wanted and (content := tar.extractfile(member)) is not None:
                found[wanted[member.name]] = content.read().decode()
    if missing := set(wanted.values()) - set(found):
        raise BuildError(f"{of.package} {of.version} has no {missing}")
    match = re.search(r"providerVersion: '([^']+)'", found[of.resources[0], "js"])
    assert match is not None
    return match[1], {kind: binding(found[kind, "js"], found[kind, "d.ts"]) for kind in of.resources}


_ATTRIBUTE = re.compile(
    r"^ +(?P<name>\w+): \{\n"
    r" +value: (?P<value>.*),\n +isBlock: (?P<block>\w+),\n +type: \"(?P<type>\w+)\",\n"
    r" +storageClassType: \"(?P<storage>\w+)\",$",
    re.MULTILINE,
)
_SIMPLE = {"string": "string", "number": "number", "boolean": "bool", "any": "any"}


def binding(code: str, declarations: str) -> Schema:
    """Attributes of a resource, from the code and the declarations of its class in CDK Terrain."""
    optional = {
        (match[1], declared): bool(mark)
        for match in re.finditer(r"^export interface (\w+) .*?^\}", declarations, re.MULTILINE | re.DOTALL)
        for declared, mark in re.findall(r"^    readonly (\w+)(\??):", match[0], re.MULTILINE)
    }
    bodies = {
        match[1]: match[2]
        for match in re.finditer(r"^function (\w+)ToHclTerraform\(struct\) \{(.*?)^\}", code, re.MULTILINE | re.DOTALL)
    }

    def attributes(body: str, interface: str) -> Schema:
        made: Schema = {}
        for found in _ATTRIBUTE.finditer(body):
            declared = re.search(r"\((?:struct\.|this\._)(\w+?)(?:\.internalValue)?\)+$", found["value"])
            assert declared is not None, found["value"]
            one: Schema = {"type": _SIMPLE.get(found["storage"], "")}
            if found["block"] == "true":
                inner = re.search(r"(\w+)ToHclTerraform", found["value"])
                assert inner is not None
                many = "listMapperHcl" in found["value"]
                one["type"] = "objects" if many else "object" if found["type"] == "struct" else "block"
                one["attributes"] = attributes(bodies[inner[1]], inner[1][0].upper() + inner[1][1:])
            elif found["type"] != "simple":
                one["type"] = f"{found['type']}({_element(found['storage'])})"
            if not optional[interface, declared[1]]:
                one["required"] = True
            made[found["name"]] = one
        return made

    class_name = re.findall(r"^export declare class (\w+) extends cdktn\.TerraformResource", declarations, re.MULTILINE)
    _, _, body = code.partition("synthesizeHclAttributes() {")
    made = attributes(body, f"{class_name[0]}Config")
    for name in re.findall(r"^    // (\w+) - computed: true, optional: false, required: false$", code, re.MULTILINE):
        made.setdefault(name, {"type": "any", "computed": True})
    return made


def _element(storage: str) -> str:
    inner = re.sub("(List|Map)$", "", storage)
    return _SIMPLE[inner] if inner in _SIMPLE else f"map({_element(inner)})"


def _pulumi(of: _Bridged, folder: Path) -> tuple[str, dict[str, Schema]]:
    package = _installed(of, folder)
    made = {}
    for kind, module in of.resources.items():
        inputs = package / Path(module).parent / "_inputs.py"
        found = bridged((package / f"{module}.py").read_text(), inputs.read_text() if inputs.exists() else "")
        for theirs, name in of.names.get(kind, {}).items():
            found[name] = found.pop(theirs)
        for name in of.required.get(kind, ()):
            found[name]["required"] = True
        made[kind] = found
    return "", made


_PRIMITIVE = {"str": "string", "int": "number", "float": "number", "bool": "bool"}


def bridged(code: str, inputs: str) -> Schema:
    """Attributes of a resource, from its module and the types of its package, in the names of Pulumi for Python."""
    modules = [ast.parse(code), ast.parse(inputs)]
    classes = {node.name: node for module in modules for node in module.body if isinstance(node, ast.ClassDef)}
    resource = next(one for one in classes.values() if "CustomResource" in " ".join(map(ast.unparse, one.bases)))

    def attributes(of: ast.ClassDef) -> Schema:
        init = next(node for node in of.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
        made: Schema = {}
        for argument, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True):
            assert argument.annotation is not None
            one = kind(ast.unparse(argument.annotation))
            if default is None:
                one["required"] = True
            made[argument.arg.rstrip("_")] = one
        return made

    def kind(annotation: str) -> Schema:
        plain = re.sub(r"pulumi\.Input\[|Optional\[|\]|'", "", annotation)
        if match := re.fullmatch(r"_builtins\.(\w+)", plain):
            return {"type": _PRIMITIVE[match[1]]}
        if match := re.fullmatch(r"Sequence\[_builtins\.(\w+)", plain):
            return {"type": f"list({_PRIMITIVE[match[1]]})"}
        if match := re.fullmatch(r"Mapping\[str, _builtins\.(\w+)", plain):
            return {"type": f"map({_PRIMITIVE[match[1]]})"}
        if match := re.fullmatch(r"(Sequence\[)?(\w+Args)", plain):
            return {"type": "objects" if match[1] else "block", "attributes": attributes(classes[match[2]])}
        raise BuildError(f"{resource.name}: a type that is not known: {annotation}")

    made = attributes(classes[f"{resource.name}Args"])
    for node in resource.body:
        if isinstance(node, ast.FunctionDef) and "pulumi.getter" in " ".join(map(ast.unparse, node.decorator_list)):
            made.setdefault(node.name.rstrip("_"), {"type": "any", "computed": True})
    return made


def _installed(of: _Binding | _Bridged, folder: Path) -> Path:
    wanted = f"{of.package}=={of.version}"
    command = [*installer(), "--no-deps", "--target", str(folder), wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{wanted} cannot be had:\n{done.stderr.strip()[-2000:]}")
    return folder / of.package.replace("-", "_")
