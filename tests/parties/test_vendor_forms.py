"""Rendered documents and scripts, by what vendors publish of APIs and commands (``hack/testbed schemas vendors``).

Vault, Keycloak, MinIO and Hydra are not here: real servers take theirs.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.validate import validate_parameters
from jsonschema import Draft7Validator
from moto.iam.policy_validation import IAMTrustPolicyDocumentValidator
from snowflake.connector.util_text import split_statements

from apostille.parties import shell
from apostille_testbed.parties.programs import program
from apostille_testbed.vendor_schemas import FOLDER

GOLDEN = Path(__file__).parents[1] / "golden"
ACCESS = sorted(path.parent for path in GOLDEN.rglob(f"out/access/*/{shell.FILE}"))

Json = Any


def cases(party: str) -> list[Path]:
    """Folders of rendered documents whose trust's name says the party."""
    found = [folder for folder in sorted(GOLDEN.glob("*/out/access/*")) if folder.name == f"{party}-prod"]
    assert found
    return found


def documents(party: str, pattern: str) -> list[Json]:
    found = [json.loads(path.read_text()) for folder in cases(party) for path in sorted(folder.glob(pattern))]
    assert found, pattern
    return found


@cache
def schemas(name: str) -> Json:
    return json.loads((FOLDER / f"{name}.json").read_text())


def complaints(file: str, kind: str, document: Json) -> list[str]:
    """Why an API would not take a body; empty: it would."""
    whole = schemas(file)
    return [error.message for error in Draft7Validator({**whole, **whole[kind]}).iter_errors(document)]


_STUB = """#!/bin/sh
{ printf '%s\\0' "${0##*/}" "$@"; printf '\\n'; } >>"$RECORD"
case " $* " in *" get"*|*" show "*|*" describe "*|*" read "*) exit "$ABSENT";; esac
"""


def commands(folder: Path, party: str, tmp_path: Path) -> list[list[str]]:
    """What the rendered script runs, where everything is there already and where nothing is, as a shell divides it."""
    stub, record = tmp_path / "bin" / party, tmp_path / "record"
    stub.parent.mkdir(exist_ok=True)
    stub.write_text(_STUB)
    stub.chmod(0o755)
    record.write_text("")
    for absent in ("0", "1"):
        environment = {
            "PATH": f"{stub.parent}:{os.defpath}", "RECORD": str(record), "ABSENT": absent,
            "DATABRICKS_HOST": "x", "DATABRICKS_ACCOUNT_ID": "x",
        }  # fmt: skip
        argv = [shutil.which("sh") or "sh", str(folder / shell.FILE)]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    told = [line.rstrip("\0").split("\0") for line in record.read_text().split("\0\n") if line]
    assert told
    return [words[1:] for words in told]


def aws_complaint(argv: list[str]) -> str:
    """Why ``aws`` would not take a command: its operations and options are those of botocore's models."""
    service, operation, *options = argv
    model = botocore.session.get_session().get_service_model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in names:
        return f"no operation {operation}"
    shape = model.operation_model(names[operation]).input_shape
    members = {f"--{xform_name(name, '-')}": name for name in shape.members}
    given: dict[str, Any] = {}
    while options:
        option, *options = options
        if option not in members:
            return f"{operation} has no {option}"
        member, values = members[option], []
        while options and not options[0].startswith("--"):
            values.append(options.pop(0))
        kind = shape.members[member].type_name
        if kind != "list" and len(values) != 1:
            return f"{option} takes one value"
        given[member] = values if kind == "list" else int(values[0]) if kind == "integer" else values[0]
    return _botocore_complaint(shape, given)


def _botocore_complaint(shape: Any, given: Mapping[str, Any]) -> str:
    try:
        validate_parameters(dict(given), shape)
    except botocore.exceptions.ParamValidationError as error:
        return str(error)
    return ""


def request_complaint(operation: str, document: Mapping[str, Any]) -> str:
    """Why IAM's API would not take a request, by botocore's model of it."""
    model = botocore.session.get_session().get_service_model("iam").operation_model(operation)
    return _botocore_complaint(model.input_shape, document)


def test_iam_takes_the_requests() -> None:
    roles = documents("aws", "role-*.json")
    for role in roles:
        assert request_complaint("CreateRole", role) == ""
        IAMTrustPolicyDocumentValidator(role["AssumeRolePolicyDocument"]).validate()
    for provider in documents("aws", "oidc-provider.json"):
        assert request_complaint("CreateOpenIDConnectProvider", provider) == ""
    assert "Unknown parameter" in request_complaint("CreateRole", {**roles[0], "Trust": "x"})
    assert "Missing required parameter" in request_complaint("CreateRole", {"RoleName": "x"})
    assert "Invalid type" in request_complaint("CreateRole", {**roles[0], "MaxSessionDuration": "3600"})


@pytest.mark.parametrize(
    "change",
    [
        {"Version": "2012-10-18"},
        {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRoleWithWebIdentity"}], "Id": 7},
        {"Statement": [{"Effect": "Permit", "Principal": "*", "Action": "sts:AssumeRoleWithWebIdentity"}]},
        {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRoleWithWebIdentity", "Iff": {}}]},
    ],
)
def test_a_policy_of_another_grammar_is_refused(change: Json) -> None:
    policy = json.loads(documents("aws", "role-*.json")[0]["AssumeRolePolicyDocument"]) | change
    with pytest.raises(Exception, match=r"MalformedPolicyDocument|rohibited|yntax|ersion|ntain"):
        IAMTrustPolicyDocumentValidator(json.dumps(policy)).validate()


def test_aws_takes_the_commands(tmp_path: Path) -> None:
    (folder,) = [one for one in cases("aws") if one in ACCESS]
    ran = commands(folder, "aws", tmp_path)
    assert [found for argv in ran if (found := aws_complaint(argv))] == []
    assert {argv[1] for argv in ran} >= {"create-role", "update-assume-role-policy", "create-open-id-connect-provider"}
    create = next(argv for argv in ran if argv[1] == "create-role")
    assert aws_complaint([*create, "--trust", "x"]) == "create-role has no --trust"
    assert "Missing required parameter" in aws_complaint(create[:4])
    assert aws_complaint(["iam", "make-role"]) == "no operation make-role"


def test_google_iam_takes_the_documents() -> None:
    for kind, pattern in (
        ("WorkloadIdentityPool", "pool.json"),
        ("WorkloadIdentityPoolProvider", "provider.json"),
        ("Policy", "service-account-*.json"),
    ):
        for document in documents("gcp", pattern):
            # The name is where it goes, not what is sent.
            assert complaints("google-iam", kind, document) == []
            assert complaints("google-iam", kind, {**document, "audience": "x"})
    (provider,) = documents("gcp", "provider.json")
    assert complaints("google-iam", "WorkloadIdentityPoolProvider", provider | {"disabled": "false"})
    assert complaints("google-iam", "WorkloadIdentityPoolProvider", provider | {"state": "ACTIVE"}), "only read"
    assert complaints("google-iam", "WorkloadIdentityPoolProvider", provider | {"oidc": {"allowedAudiences": "x"}})


def option_complaints(file: str, depth: Callable[[list[str]], int], argv: list[str]) -> list[str]:
    """Why a command would not be taken; ``depth``: how many words of it are its name."""
    name = " ".join(argv[: depth(argv)])
    if name not in schemas(file):
        return [f"there is no command {name}"]
    told = schemas(file)[name]
    # What begins with two dashes inside of a value stands behind an equals sign, or after its option.
    given = {word.partition("=")[0] for word in argv if word.startswith("--")}
    return [f"{name} has no {one}" for one in sorted(given - set(told["options"]) - {"--subscription"})] + [
        f"{name} needs {one}" for one in told.get("required", ()) if one not in given
    ]


def _until_an_option_or_a_name(argv: list[str]) -> int:
    names = [name.split() for name in schemas("gcloud") if argv[: len(name.split())] == name.split()]
    return max((len(name) for name in names), default=3)


def test_gcloud_takes_the_commands(tmp_path: Path) -> None:
    for folder in cases("gcp"):
        ran = commands(folder, "gcloud", tmp_path)
        found = [option_complaints("gcloud", _until_an_option_or_a_name, argv) for argv in ran]
        assert found == [[]] * len(ran)
        assert {argv[2] for argv in ran} >= {"create", "providers", "add-iam-policy-binding"}
    wrong = [["iam", "workload-identity-pools", "create", "x", "--region=global"], ["iam", "workload-pools", "create"]]
    assert all(option_complaints("gcloud", _until_an_option_or_a_name, argv) for argv in wrong)


def test_azure_takes_the_documents() -> None:
    seen = set()
    for document in documents("azure", "identity-*.json"):
        file = "microsoft-graph" if document["id"].startswith("/applications/") else "azure-msi"
        seen.add(file)
        for one in document["value"]:
            assert complaints(file, "FederatedIdentityCredential", one) == []
            assert complaints(file, "FederatedIdentityCredential", one | {"audience": "x"})
    assert seen == {"microsoft-graph", "azure-msi"}
    nested = {"name": "x", "properties": {"audiences": "x"}}
    assert complaints("azure-msi", "FederatedIdentityCredential", nested) == ["'x' is not of type 'array'"]


def test_az_takes_the_commands(tmp_path: Path) -> None:
    def depth(argv: list[str]) -> int:
        return next(i for i, word in enumerate(argv) if word.startswith("--"))

    for folder in cases("azure"):
        ran = commands(folder, "az", tmp_path)
        assert [option_complaints("azure-cli", depth, argv) for argv in ran] == [[]] * len(ran)
        bodies = [argv[argv.index("--parameters") + 1] for argv in ran if "--parameters" in argv]
        assert bodies
        for body in bodies:
            assert complaints("microsoft-graph", "FederatedIdentityCredential", json.loads(body)) == []
    missing = ["identity", "federated-credential", "create", "--name", "x", "--identity-name", "y", "--audience", "z"]
    assert option_complaints("azure-cli", depth, missing) == [
        "identity federated-credential create has no --audience",
        "identity federated-credential create needs --resource-group",
    ]


def test_databricks_takes_the_policies(tmp_path: Path) -> None:
    """By the SDK's own classes: what they do not know is lost when they write it again."""
    # It takes seconds, of every worker that collects this file.
    from databricks.sdk.service.oauth2 import FederationPolicy, ServicePrincipalFederationPolicyAPI

    for document in documents("databricks", "policy-*.json"):
        assert FederationPolicy.from_dict(document).as_dict() == document
    assert FederationPolicy.from_dict({"oidc_policy": {"audience": ["x"]}}).as_dict() == {"oidc_policy": {}}
    # The CLI is generated like the SDK: a command of each method, what is in the path by place, the body as JSON.
    assert {"create", "get", "update"} <= set(vars(ServicePrincipalFederationPolicyAPI))
    for folder in cases("databricks"):
        for argv in commands(folder, "databricks", tmp_path):
            assert argv[:2] == ["account", "service-principal-federation-policy"]
            if argv[2] != "get":
                body = json.loads(argv[argv.index("--json") + 1])
                assert FederationPolicy.from_dict(body).as_dict() == body


def test_snowflake_divides_the_statements_as_they_are_meant() -> None:
    """By the vendor's own splitter, which the connector and SnowSQL run scripts through."""
    for folder in cases("snowflake"):
        for path in sorted(folder.glob("*.sql")):
            divided = [text for text, _ in split_statements(io.StringIO(path.read_text())) if text.strip()]
            assert divided == [f"{text.strip()};" for text in path.read_text().split(";\n") if text.strip()]
    quoted = "ALTER USER A SET COMMENT = 'x;\n--y';\nALTER USER B;"
    assert len(list(split_statements(io.StringIO(quoted)))) == 2


@pytest.mark.e2e
def test_hcp_takes_the_requests() -> None:
    """By the models of HCP's SDK for Go, which takes no field that they do not have."""
    bodies = documents("hcp", "provider-*.json")
    for body in bodies:
        del body["parent_resource_name"]
    provider = bodies[0]["provider"]
    wrong = [{**bodies[0], "issuer": "x"}, {**bodies[0], "provider": provider | {"conditional_access": ["x"]}}]
    told = json.dumps([*bodies, *wrong])
    done = subprocess.run([program("hcp-caller"), "check"], input=told, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert said[: len(bodies)] == [""] * len(bodies)
    assert all(said[len(bodies) :])
