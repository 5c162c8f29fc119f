"""What stands for the platform team's pipeline: AWS holds what is rendered now, and its log tells what it did."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apostille_demo.pipeline import Pipeline
from apostille_testbed.client import APIError
from apostille_testbed.parties.aws import AWSParty

ISSUER = "https://issuer.example"
PROVIDER = json.dumps({"Url": ISSUER, "ClientIDList": ["https://a.example"]})


def role(name: str) -> str:
    """The rendered document of a role."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": "arn:aws:iam::123456789012:oidc-provider/issuer.example"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {"issuer.example:aud": "https://a.example", "issuer.example:sub": "s"}},
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return json.dumps({"RoleName": name, "Path": "/", "AssumeRolePolicyDocument": policy, "MaxSessionDuration": 3600})


class Cluster:
    """Stands for the API server's client: answers the list of ConfigMaps."""

    def __init__(self) -> None:
        self.maps: dict[str, dict[str, str]] = {}
        self.down = False

    def request(self, method: str, path: str, body: Any = None, timeout: float = 30.0) -> Any:
        assert (method, path) == ("GET", "/api/v1/namespaces/apostille-system/configmaps")
        if self.down:
            raise APIError(503, "ServiceUnavailable", "down")
        return {"items": [{"metadata": {"name": name}, "data": data} for name, data in self.maps.items()]}


@pytest.fixture
def aws() -> Iterator[AWSParty]:
    party = AWSParty()
    yield party
    party.close()


def test_aws_holds_what_is_rendered_now(aws: AWSParty, tmp_path: Path) -> None:
    cluster, log = Cluster(), tmp_path / "aws.log"
    pipeline = Pipeline(cluster, aws, log)  # type: ignore[arg-type]

    cluster.maps = {"apostille-access-a": {"oidc-provider.json": PROVIDER, "role-reader.json": role("reader")}}
    cluster.maps["something-else"] = {"role-intruder.json": role("intruder")}
    pipeline.turn()
    pipeline.turn()
    assert [held.name for held in aws.iam.roles] == ["reader"]
    assert [held.url for held in aws.iam.providers] == [ISSUER]

    cluster.maps["apostille-access-a"] = {"oidc-provider.json": PROVIDER}
    pipeline.turn()
    assert aws.iam.roles == ()

    del cluster.maps["apostille-access-a"]
    pipeline.turn()
    assert aws.iam.providers == ()

    said = [line.partition(" ")[2] for line in log.read_text().splitlines()]
    assert said == ["IAM now holds oidc-provider, role-reader", "IAM now holds oidc-provider", "IAM now holds nothing"]


def test_goes_on_after_a_refusal_and_an_outage(aws: AWSParty, tmp_path: Path) -> None:
    cluster, log = Cluster(), tmp_path / "aws.log"
    pipeline = Pipeline(cluster, aws, log)  # type: ignore[arg-type]

    cluster.maps = {"apostille-access-a": {"oidc-provider.json": '{"Url": "http://insecure.example"}'}}
    pipeline.turn()
    cluster.down = True
    pipeline.turn()
    pipeline.turn()
    cluster.down = False
    cluster.maps = {"apostille-access-a": {"oidc-provider.json": PROVIDER}}
    pipeline.turn()

    refused, outage, done = log.read_text().splitlines()
    assert "IAM refused apostille-access-a: " in refused
    assert outage.endswith("the rendered documents cannot be read: APIError")
    assert done.endswith("IAM now holds oidc-provider")
