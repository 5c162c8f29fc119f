"""Documents of relying parties, ours and anybody's: too broad ones are told where they stand."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from apostille.core.judge import Context
from apostille.lint.judge import Options
from apostille.parties.aws import bare
from apostille.rules.keys import issuer
from builders import ISSUER
from lint.test_lint import TODAY, found, line_of, report
from lint.test_rendered import DECLARED, FOLDER, OPTIONS, ROLE, documents
from samples.gcp import gcp_trust
from samples.sample import every

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


GITHUB = "token.actions.githubusercontent.com"


@pytest.mark.parametrize(
    ("operator", "subject", "rules"),
    [
        ("StringEquals", "repo:acme/shop:ref:refs/heads/main", []),
        ("StringLike", "repo:acme/shop:*", ["AWS306"]),
        ("StringLike", "repo:*", ["AWS304"]),
        ("StringEquals", "repo:acme/shop:*", ["AWS307"]),
    ],
)
def test_subjects_of_a_ci_service_have_forms_of_their_own(operator: str, subject: str, rules: list[str]) -> None:
    text = policy({operator: {f"{GITHUB}:sub": subject}, "StringEquals ": {}, "ForAnyValue:StringEquals": {
        f"{GITHUB}:aud": "sts.amazonaws.com"}}).replace(HOST, GITHUB)  # fmt: skip
    assert [rule for rule, *_ in found({"p.json": text})] == rules


KEY = {"kty": "RSA", "kid": "key-1", "alg": "RS256", "n": "n", "e": "AQAB"}
KNOWN = Options(Context(issuer(ISSUER.url, {"keys": [KEY]}), "apostille-system"), TODAY)


@pytest.mark.parametrize(
    ("document", "rules"),
    [
        ({"keys": [KEY]}, []),
        ({"keys": [KEY, {**KEY, "kid": "key-0"}]}, ["APO706"]),
        ({"keys": [{**KEY, "kid": "of-somebody-else"}]}, []),
        ({"keys": [{**KEY, "d": "secret"}]}, ["APO704"]),
        ({"keys": [{**KEY, "alg": "HS256"}]}, ["APO705"]),
        ({"keys": [5]}, []),
        ({"keys": "x"}, []),
        ({"issuer": ISSUER.url, "jwks_uri": f"{ISSUER.url}/openid/v1/jwks"}, []),
        ({"issuer": f"{ISSUER.url}/", "jwks_uri": f"{ISSUER.url}/openid/v1/jwks"}, ["APO701"]),
        ({"issuer": "http://issuer.example", "jwks_uri": "https://issuer.example/jwks"}, ["APO702"]),
    ],
)
def test_what_an_issuer_publishes_is_judged_where_it_is_kept(document: Any, rules: list[str]) -> None:
    """Discovery document and key set, as one publishes them for a cluster that nobody reaches."""
    assert [rule for rule, *_ in found({"published.json": json.dumps(document)}, KNOWN)] == rules


@pytest.mark.parametrize(
    ("known", "rules"), [(["key-1"], []), (["key-1", "key-2"], ["APO706"]), (["key-2"], ["APO706"] * 2)]
)
@pytest.mark.parametrize("name", ["GCP", "OAuth Hydra"])
def test_keys_that_a_party_was_given_are_compared_with_the_clusters(
    name: str, known: list[str], rules: list[str]
) -> None:
    sample = every()[name]
    view = sample.bind("b0", target=sample.targets[0], subject={"serviceAccountNames": ["reader"]}).view(sample.party)
    trust = sample.trust.view
    if name == "GCP":
        trust = dataclasses.replace(trust, settings=gcp_trust(settings={"keys": "Uploaded"}).view.settings)
    access = sample.party.access(trust, [view], issuer(ISSUER.url, {"keys": [KEY]}))
    files = {f"kept/{file}": text for file, text in sample.party.render(access, "native").items()}
    keys = {"keys": [{**KEY, "kid": kid} for kid in known]}
    options = Options(Context(issuer(ISSUER.url, keys), "apostille-system"), TODAY)
    assert [rule for rule, *_ in found(files, options)] == rules
    # Of another cluster nothing is known.
    elsewhere = Options(Context(issuer("https://other.example", keys), "apostille-system"), TODAY)
    assert found(files, elsewhere) == []


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
