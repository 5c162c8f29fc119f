"""What vendors' APIs and commands take of what Apostille renders for them, kept with the tests.

Derived from what they publish: Google's discovery document of IAM (PyPI ``google-api-python-client``, Apache-2.0),
models of Azure's and Graph's SDKs (``azure-mgmt-msi``, ``msgraph-sdk``, MIT), the arguments of ``azure-cli`` (MIT) and
of ``gcloud``, which no index has: it is read where it is installed, and its file stays as it is elsewhere. Only
facts are kept: names and types. The bodies are strict JSON Schema, the commands options by command.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from apostille_testbed.golang import BuildError
from apostille_testbed.packages import unpack
from apostille_testbed.progress import Say

FOLDER = Path(__file__).parents[2] / "tests" / "parties" / "schemas" / "vendors"

Schema = dict[str, Any]

_IAM = ("WorkloadIdentityPool", "WorkloadIdentityPoolProvider", "Policy")
_AZ_IDENTITY = "identity federated-credential create"
_AZ_APP = "ad app federated-credential"
_GCLOUD = (
    "iam workload-identity-pools create",
    "iam workload-identity-pools describe",
    "iam workload-identity-pools providers create-oidc",
    "iam workload-identity-pools providers describe",
    "iam workload-identity-pools providers update-oidc",
    "iam service-accounts add-iam-policy-binding",
)


def write(say: Say) -> None:
    """Downloads the packages and writes `FOLDER`. Raises BuildError."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file, package, version, read in (
        ("google-iam", "google-api-python-client", "2.202.0", _google),
        ("azure-msi", "azure-mgmt-msi", "7.1.0", _msi),
        ("microsoft-graph", "msgraph-sdk", "1.65.0", _graph),
        ("azure-cli", "azure-cli", "2.91.0", _azure_cli),
    ):
        say(f"{package} {version}")
        with tempfile.TemporaryDirectory() as folder:
            _write(file, f"{package} {version}", read(unpack(package, version, Path(folder))))
    if (found := shutil.which("gcloud")) is not None:
        root = Path(found).resolve().parents[1]
        _write("gcloud", f"gcloud {(root / 'VERSION').read_text().strip()}", _gcloud(root))


def _google(folder: Path) -> Schema:
    document = folder / "googleapiclient" / "discovery_cache" / "documents" / "iam.v1.json"
    return discovered(json.loads(document.read_text())["schemas"], _IAM)


def discovered(schemas: Mapping[str, Any], wanted: tuple[str, ...]) -> Schema:
    """The wanted schemas of a discovery document and all that they refer to; what is only read cannot be given."""
    found: Schema = {}
    waiting = list(wanted)
    while waiting:
        if (name := waiting.pop()) not in found:
            found[name] = _strict(schemas[name])
            waiting += _references(found[name])
    return dict(sorted(found.items()))


def _strict(schema: Mapping[str, Any]) -> Schema:
    if "$ref" in schema:
        return {"$ref": f"#/{schema['$ref']}"}
    made: Schema = {key: schema[key] for key in ("type", "enum") if key in schema}
    if "properties" in schema:
        given = {name: one for name, one in schema["properties"].items() if not one.get("readOnly")}
        made["properties"] = {name: _strict(one) for name, one in sorted(given.items())}
        made["additionalProperties"] = False
    elif "additionalProperties" in schema:
        made["additionalProperties"] = _strict(schema["additionalProperties"])
    if "items" in schema:
        made["items"] = _strict(schema["items"])
    return made


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix("#/")
        for child in schema.values():
            yield from _references(child)


_TEXTS: Schema = {"type": "array", "items": {"type": "string"}}


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


def _msi(folder: Path) -> Schema:
    code = (folder / "azure" / "mgmt" / "msi" / "v2024_11_30" / "models" / "_models_py3.py").read_text()
    model = _class(ast.parse(code), "FederatedIdentityCredential")
    attributes = _literal(model, "_attribute_map")
    inner = {
        one["key"].removeprefix("properties."): _TEXTS if one["type"] == "[str]" else {"type": "string"}
        for one in attributes.values()
        if one["key"].startswith("properties.")
    }
    return {"FederatedIdentityCredential": _object({"name": {"type": "string"}, "properties": _object(inner)})}


def _graph(folder: Path) -> Schema:
    code = (folder / "msgraph" / "generated" / "models" / "federated_identity_credential.py").read_text()
    model = _class(ast.parse(code), "FederatedIdentityCredential")
    written = [
        (str(ast.literal_eval(call.args[0])), call.func.attr)
        for call in ast.walk(model)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr.startswith("write_")
        and call.args
    ]  # fmt: skip
    properties = {name: _TEXTS if "collection" in how else {"type": "string"} for name, how in written}
    return {"FederatedIdentityCredential": _object(properties)}


def _azure_cli(folder: Path) -> Schema:
    modules = folder / "azure" / "cli" / "command_modules"
    create = modules / "identity" / "aaz" / "latest" / "identity" / "federated_credential" / "_create.py"
    made = {_AZ_IDENTITY: _aaz(ast.parse(create.read_text()))}
    options = _arguments(ast.parse((modules / "role" / "_params.py").read_text()), _AZ_APP)
    for node in ast.parse((modules / "role" / "custom.py").read_text()).body:
        verb = node.name.removeprefix("app_federated_credential_") if isinstance(node, ast.FunctionDef) else ""
        if isinstance(node, ast.FunctionDef) and node.name != verb:
            named = [options[one.arg] for one in node.args.args[1:]]
            made[f"{_AZ_APP} {verb}"] = {"options": sorted(named), "required": sorted(named)}
    return made


def _aaz(module: ast.Module) -> Schema:
    options, required = [], []
    for node in ast.walk(module):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            given = {one.arg: one.value for one in node.value.keywords}
            called = ast.unparse(node.value.func)
            if called.startswith("AAZ") and called.endswith("Arg") and "help" in given:
                standard = ["--resource-group"] if called == "AAZResourceGroupNameArg" else []
                mine = ast.literal_eval(given["options"]) if "options" in given else standard
                options += [one for one in mine if one.startswith("--")]
                required += [mine[-1]] if "required" in given and ast.literal_eval(given["required"]) else []
    return {"options": sorted(options), "required": sorted(required)}


def _arguments(module: ast.Module, context: str) -> dict[str, str]:
    for node in ast.walk(module):
        if isinstance(node, ast.With) and f"argument_context('{context}')" in ast.unparse(node.items[0].context_expr):
            calls = [one.value for one in node.body if isinstance(one, ast.Expr) and isinstance(one.value, ast.Call)]
            given = {ast.literal_eval(one.args[0]): {word.arg: word.value for word in one.keywords} for one in calls}
            return {
                name: ast.literal_eval(words["options_list"])[-1] if "options_list" in words else f"--{name}"
                for name, words in given.items()
            }
    raise BuildError(f"azure-cli has no arguments of {context}")


def _gcloud(root: Path) -> Schema:
    spec = importlib.util.spec_from_file_location("tree", root / "data" / "cli" / "gcloud_completions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tree = module.STATIC_COMPLETION_CLI_TREE
    made = {}
    for command in _GCLOUD:
        node = tree
        for word in command.split():
            node = node["commands"][word]
        flags = node["flags"] | tree["flags"]
        made[command] = {"options": sorted(flags), "switches": sorted(name for name in flags if flags[name] == "bool")}
    return made


def _class(module: ast.Module, name: str) -> ast.ClassDef:
    return next(node for node in module.body if isinstance(node, ast.ClassDef) and node.name == name)


def _literal(of: ast.ClassDef, name: str) -> Any:
    return next(
        ast.literal_eval(node.value)
        for node in of.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    )


def _write(name: str, source: str, schemas: Mapping[str, Schema]) -> None:
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in ({"from": source} | dict(schemas)).items()]
    (FOLDER / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
