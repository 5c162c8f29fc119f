"""Documents of relying parties, ours and anybody's: too broad ones are told where they stand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apostille.parties.aws import bare
from lint.test_lint import found, line_of, report
from lint.test_rendered import DECLARED, FOLDER, OPTIONS, ROLE, documents

HOST = "oidc.example.com/a"
PROVIDER = f"arn:aws:iam::123456789012:oidc-provider/{HOST}"
EXACT = {f"{HOST}:aud": "https://a.example", f"{HOST}:sub": "system:serviceaccount:payments:reader"}


def policy(condition: Any = None, **members: Any) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": PROVIDER},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": condition or {"StringEquals": EXACT},
    } | members
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=2)


def test_a_trust_policy_alone_that_is_exact_is_silent() -> None:
    assert found({"iam/reader.json": policy()}) == []


@pytest.mark.parametrize(
    ("text", "rule", "path"),
    [
        (policy({"StringEquals": {f"{HOST}:aud": "https://a.example"}}), "AWS302", "Statement[0].Condition"),
        (policy({"StringLike": {**EXACT, f"{HOST}:sub": "system:serviceaccount:*"}}), "AWS304",
         "Statement[0].Condition.StringLike"),
        (policy(Principal={"Federated": "*"}), "AWS310", "Statement[0].Principal"),
        (policy(Principal={"Federated": [PROVIDER, f"{PROVIDER}2"]}), "AWS311", "Statement[0].Principal.Federated"),
        (policy(Action=["sts:*", "sts:AssumeRoleWithWebIdentity"]), "AWS312", "Statement[0].Action"),
    ],
)  # fmt: skip
def test_a_trust_policy_alone_that_is_broad_is_told_at_its_field(text: str, rule: str, path: str) -> None:
    assert (rule, "iam/reader.json", path) in found({"iam/reader.json": text})


def test_the_place_is_the_fields_own_line() -> None:
    files = {"p.json": policy({"StringEquals": {f"{HOST}:aud": "https://a.example"}})}
    assert line_of(files, "AWS302") == '"Condition"'


@pytest.mark.parametrize(
    "document",
    [
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]},
        {"Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]},
        {"Statement": "x"}, {"Statement": [5]}, {"Version": 1}, [], "x", None,
        {"Statement": [{"Principal": {"Federated": "arn:aws:iam::1:oidc-provider/"}, "Action": 5}]},
    ],
)  # fmt: skip
def test_what_is_no_trust_policy_of_a_web_identity_is_left_alone(document: Any) -> None:
    assert bare.documents(document) is None or document["Statement"][0]["Action"] == 5
    assert found({"x.json": json.dumps(document)}) == []


def test_a_rendered_document_that_was_widened_by_hand_is_told() -> None:
    files = documents()
    wide = files[ROLE].replace("StringEquals", "StringLike").replace(":payments:reader", ":*")
    rules = {rule for rule, file, _ in found(DECLARED | files | {ROLE: wide}, OPTIONS) if file == ROLE}
    assert {"AWS304", "LNT401"} <= rules


def test_a_rendered_config_map_is_read_like_a_folder() -> None:
    data = {path.removeprefix(f"{FOLDER}/"): text for path, text in documents().items()}
    name = ROLE.removeprefix(f"{FOLDER}/")
    data[name] = data[name].replace("StringEquals", "StringLike").replace(":payments:reader", ":*")
    config_map = {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "apostille-access-aws-prod"}, "data": data,
    }  # fmt: skip
    written = json.dumps(config_map, indent=1)
    made = report({"cm.json": written})
    assert "AWS304" in {result.finding.rule.id for result in made.active}
    (line,) = {result.place.line for result in made.active}
    assert name in written.splitlines()[line - 1]
