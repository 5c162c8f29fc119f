"""Alibaba Cloud: the strict STS, the vendor's own SDK at it, and the product's verdicts beside the judge's."""

from __future__ import annotations

import http.client
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from alibabacloud_credentials.utils import parameter_helper
from hypothesis import given, settings
from hypothesis import strategies as st

from apostille.core.pod_plan import paths_of, pod_plan
from apostille.model.identity import Issuer
from apostille.parties.alibaba.evaluate import allows
from apostille.parties.alibaba.party import Alibaba
from apostille_testbed import ControlPlane, party
from apostille_testbed.parties.alibaba import RAMError, policy
from apostille_testbed.parties.proxy import Proxy
from samples.alibaba import ACCOUNT, PROVIDER, alibaba_binding, alibaba_trust, role
from testbed.judges_world import Clock
from testbed.negative_matrix import ACCEPTED, REFUSED, SUBJECT, rotated
from testbed.strict_sts_issuer import Issuer as Signer
from testbed.strict_sts_issuer import served

URL = "https://cluster-a.issuer.example"
SDK = (
    "from alibabacloud_credentials.client import Client\n"
    "found = Client().get_credential()\n"
    "print(found.access_key_id, found.provider_name)"
)
FAIL = "AuthenticationFail.OIDCToken"


def rendered(issuer: str, namespace: str = "payments") -> dict[str, str]:
    """The documents of one binding."""
    trust = alibaba_trust()
    of = trust.party
    views = [alibaba_binding(namespace=namespace).view(of)]
    return dict(of.render(of.access(trust.view, views, Issuer(issuer)), "native"))


@dataclass
class World:
    """The account with what is rendered for one binding, and an issuer that it can read."""

    party: Any
    issuer: Signer
    keys: Any
    clock: Clock = field(default_factory=Clock)

    @property
    def audience(self) -> str:
        return alibaba_trust().audience

    def exchange(self, token: str, **changes: str | None) -> tuple[int, dict[str, Any]]:
        """One call, with changes to what is sent."""
        asked = {
            "Action": "AssumeRoleWithOIDC", "Version": "2015-04-01", "Format": "JSON", "OIDCProviderArn": PROVIDER,
            "RoleArn": role(), "OIDCToken": token, "RoleSessionName": "payments.oss", "DurationSeconds": "3600",
        } | changes  # fmt: skip
        return self.call({name: value for name, value in asked.items() if value is not None})

    def call(self, asked: dict[str, str]) -> tuple[int, dict[str, Any]]:
        context = ssl.create_default_context(cafile=str(self.party.ca))
        connection = http.client.HTTPSConnection("127.0.0.1", self.party.port, timeout=20, context=context)
        try:
            connection.request("POST", f"/?{urlencode(asked)}")
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()


@contextmanager
def world(directory: Path) -> Iterator[World]:
    clock, issuer = Clock(), Signer(URL)
    with served(issuer, directory / "issuer") as (keys, ca), party("alibaba", clock=clock) as running:
        running.resolve(URL, f"https://127.0.0.1:{keys.port}", ca)
        running.ram.load(rendered(URL))
        yield World(running, issuer, keys, clock)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """For the tests that change nothing in it."""
    with world(tmp_path_factory.mktemp("alibaba")) as running:
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as running:
        yield running


@pytest.mark.parametrize("fault", REFUSED)
def test_refused(shared: World, fault: str) -> None:
    token = REFUSED[fault](shared.issuer, shared.audience)
    status, document = shared.exchange(token)
    assert status == 401
    assert document["Code"].startswith("AuthenticationFail."), document
    assert not token or token not in str(document), "what is refused is not quoted"


@pytest.mark.parametrize("kind", ACCEPTED)
def test_accepted(shared: World, kind: str) -> None:
    status, document = shared.exchange(ACCEPTED[kind](shared.issuer, shared.audience))
    assert status == 200, document
    assert shared.party.session(document["Credentials"]["AccessKeyId"]).endswith(":role/payments-reader/payments.oss")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"RoleArn": role("nobody")}, 404, "EntityNotExist.Role"),
        ({"RoleArn": role(account="6543210987654321")}, 404, "EntityNotExist.Role"),
        ({"OIDCProviderArn": f"{PROVIDER}-2"}, 401, "AuthenticationFail.NoPermission"),
        ({"OIDCToken": ""}, 401, f"{FAIL}.Invalid"),
        ({"OIDCToken": "x"}, 401, f"{FAIL}.Invalid"),
        ({"DurationSeconds": "899"}, 400, "InvalidParameter.DurationSeconds"),
        ({"DurationSeconds": "3601"}, 400, "InvalidParameter.DurationSeconds"),
        ({"RoleSessionName": "a b"}, 400, "InvalidParameter.RoleSessionName"),
        ({"RoleSessionName": None}, 400, "MissingParameter.RoleSessionName"),
        ({"Action": "AssumeRole"}, 404, "InvalidAction.NotFound"),
        ({"Policy": "{}"}, 400, "InvalidParameter"),
    ],
)
def test_requests(shared: World, changes: dict[str, str | None], status: int, code: str) -> None:
    answered, document = shared.exchange(shared.issuer.token(SUBJECT, [shared.audience]), **changes)
    assert (answered, document["Code"]) == (status, code)


def test_keys_rotate_and_tokens_end(own: World) -> None:
    old = own.issuer.token(SUBJECT, [own.audience])
    assert own.exchange(old)[0] == 200
    rotated(own.issuer)
    own.clock.ahead = 10
    assert own.exchange(own.issuer.token(SUBJECT, [own.audience]))[0] == 200
    own.keys.stop()
    own.clock.ahead = 400
    assert own.exchange(old)[1]["Code"] == f"{FAIL}.IssuerConfigurationBroken"
    own.keys.start()
    own.clock.ahead = 3601
    assert own.exchange(old)[1]["Code"] == f"{FAIL}.Expired"


def identity(world: World, credential: dict[str, str], **changes: str) -> tuple[int, dict[str, Any]]:
    """GetCallerIdentity, signed by the vendor's package, with changes to what is sent."""
    asked = {
        "Action": "GetCallerIdentity", "Version": "2015-04-01", "Format": "JSON",
        "Timestamp": "2026-01-01T00:00:00Z", "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
        "SignatureNonce": parameter_helper.get_uuid(), "AccessKeyId": credential["AccessKeyId"],
        "SecurityToken": credential["SecurityToken"],
    }  # fmt: skip
    text = parameter_helper.compose_string_to_sign("POST", asked)
    asked["Signature"] = parameter_helper.sign_string(text, f"{credential['AccessKeySecret']}&")
    return world.call(asked | changes)


def test_who_one_is(own: World) -> None:
    credential = own.exchange(own.issuer.token(SUBJECT, [own.audience]))[1]["Credentials"]
    status, document = identity(own, credential)
    assert (status, document["Arn"]) == (200, f"acs:ram::{ACCOUNT}:assumed-role/payments-reader/payments.oss")
    for changes, code in (
        ({"AccessKeyId": "STS.X"}, "InvalidAccessKeyId.NotFound"),
        ({"SecurityToken": "x"}, "InvalidSecurityToken.MismatchWithAccessKey"),
        ({"SignatureNonce": "x"}, "SignatureDoesNotMatch"),
        ({"RoleArn": role()}, "InvalidParameter"),
    ):
        assert identity(own, credential, **changes)[1]["Code"] == code
    assert identity(own, credential | {"AccessKeySecret": "x"})[1]["Code"] == "SignatureDoesNotMatch"
    own.clock.ahead = 3600
    assert identity(own, credential)[1]["Code"] == "InvalidSecurityToken.Expired"


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("OIDCProviderName", "-x", "InvalidParameter.OIDCProviderName"),
        ("IssuerUrl", "http://x.example", "InvalidParameter.IssuerUrl"),
        ("ClientIds", "a b", "InvalidParameter.ClientIds"),
        ("ClientIds", ",".join(f"c{i}" for i in range(51)), "InvalidParameter.ClientIds"),
        ("Colour", "blue", "InvalidParameter"),
    ],
)
def test_identity_providers(own: World, member: str, value: str, code: str) -> None:
    files = rendered(URL)
    files["oidc-provider.json"] = json.dumps(json.loads(files["oidc-provider.json"]) | {member: value})
    with pytest.raises(RAMError) as refused:
        own.party.ram.load(files)
    assert refused.value.code == code
    assert own.exchange(own.issuer.token(SUBJECT, [own.audience]))[0] == 200, "what was there is there still"


# The vendor's own SDK


def run(
    at: Any, trust: Any, binding: Any, token: str, directory: Path, **more: str
) -> subprocess.CompletedProcess[str]:
    """The SDK as a pod has it, the vendor's host name led to the party.

    It trusts what certifi has, whatever the environment says; certifi has the party's authority here.
    """
    certifi = directory / "authorities" / "certifi"
    certifi.mkdir(parents=True, exist_ok=True)
    (certifi / "__init__.py").write_text(f"def where():\n    return {str(at.ca)!r}\n")
    file = directory / "token"
    file.write_text(token)
    paths = paths_of(binding.name)
    given = {name: value.replace(paths.token, str(file)) for name, value in
             pod_plan(trust, binding).frozen.environment.items()}  # fmt: skip
    proxy = Proxy(at.hosts, at.port)
    proxy.start()
    try:
        return subprocess.run(
            [sys.executable, "-c", SDK], capture_output=True, text=True, timeout=120, check=False,
            env={"PATH": "/usr/bin:/bin", "HOME": str(directory), "PYTHONPATH": str(certifi.parent),
                 "HTTPS_PROXY": proxy.url, **given, **more},
        )  # fmt: skip
    finally:
        proxy.close()


@pytest.mark.integration
def test_the_sdk_exchanges_a_pods_token(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    """With tokens of a real API server and documents as rendered; a static key beside it wins, as we warn."""
    for account in ("reader", "stranger"):
        control_plane.client.request(
            "POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": account}}
        )
    trust, binding = alibaba_trust(), alibaba_binding(namespace=namespace)

    def token(account: str = "reader", audience: str = trust.audience) -> str:
        return control_plane.token(namespace, account, [audience], 3600)

    with party("alibaba") as at:
        at.resolve(control_plane.issuer, control_plane.url, control_plane.ca)
        at.ram.load(rendered(control_plane.issuer, namespace))
        done = run(at, trust, binding, token(), tmp_path)
        assert done.returncode == 0, done.stderr
        key, provider = done.stdout.split()
        assert provider == "default/oidc_role_arn"
        assert at.session(key).endswith(f":role/payments-reader/{namespace}.oss")
        for wrong in (token("stranger"), token(audience="https://other.example")):
            refused = run(at, trust, binding, wrong, tmp_path)
            assert refused.returncode != 0
            assert "AuthenticationFail" in refused.stderr
            assert "EcsRamRole" not in refused.stderr, "the node's identity is not asked for"
        static = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "static", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "x"}
        beside = run(at, trust, binding, token(), tmp_path, **static)
        assert beside.stdout.split()[0] == "static"
        assert set(static) <= set(trust.party.static_credentials(trust.view.settings))
        assert [one.code for one in at.exchanges] == [
            "OK", "AuthenticationFail.NoPermission", f"{FAIL}.AudienceNotMatch",
        ]  # fmt: skip


# Two readings of the same pages

_values = st.sampled_from(
    ["system:serviceaccount:a:b", "system:serviceaccount:a:*", "SYSTEM:serviceaccount:a:b", "*", "[a]"]
)
_conditions = st.dictionaries(
    st.sampled_from(
        ["StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike",
         "StringNotLike"]
    ),
    st.dictionaries(st.sampled_from(["oidc:sub", "oidc:aud", "oidc:iss"]), st.lists(_values, min_size=1, max_size=2)),
    max_size=2,
)  # fmt: skip
_statements = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Allow", "Deny"]),
        "Action": st.sampled_from(["sts:AssumeRole", "sts:*", "*", "ram:GetRole", ["sts:AssumeRole"]]),
        "Principal": st.sampled_from([{"Federated": [PROVIDER]}, {"Federated": [f"{PROVIDER}-2"]}]),
        "Condition": _conditions,
    }
)


@settings(deadline=None, max_examples=300)
@given(
    statements=st.lists(_statements, min_size=1, max_size=3), sub=_values, aud=st.lists(_values, min_size=1, max_size=2)
)
def test_the_product_judges_policies_as_the_judge_does(
    statements: list[dict[str, Any]], sub: str, aud: list[str]
) -> None:
    written = {"Version": "1", "Statement": statements}
    context = {"oidc:iss": (URL,), "oidc:aud": tuple(aud), "oidc:sub": (sub,)}
    assert allows(written, PROVIDER, {"iss": URL, "aud": aud, "sub": sub}) is policy.allowed(written, PROVIDER, context)


@pytest.mark.parametrize(
    "condition",
    [{"NumericLessThan": {"oidc:sub": "1"}}, {"StringEquals": {"acs:SourceIp": "10.0.0.1"}}],
)
def test_what_cannot_be_judged_is_said(condition: dict[str, Any]) -> None:
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Federated": [PROVIDER]}}
    with pytest.raises(ValueError, match=r"operator|condition key"):
        allows({"Statement": [statement | {"Condition": condition}]}, PROVIDER, {"iss": URL, "sub": "x", "aud": "y"})


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({}, "oidc-provider.json"),
        ({"oidc-provider.json": "[]"}, "oidc-provider.json"),
        ({"oidc-provider.json": rendered(URL)["oidc-provider.json"], "role-x.json": "{}"}, "role-x.json"),
    ],
)
def test_documents_that_are_none_are_named(files: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Alibaba().parse(files)


def test_a_policy_that_stands_alone_is_known_and_others_are_not() -> None:
    own = json.loads(json.loads(rendered(URL)["role-payments-reader.json"])["AssumeRolePolicyDocument"])
    made = Alibaba().alone(own)
    assert made is not None
    assert list(Alibaba().document_findings(Alibaba().parse(made))) == []
    for other in (
        {"Statement": [{"Effect": "Allow", "Action": "oss:*", "Resource": "*"}]},
        {"Statement": [{"Effect": "Allow", "Principal": {"RAM": ["acs:ram::1:root"]}, "Action": "sts:AssumeRole"}]},
        {"Statement": "x"}, [], None,
    ):  # fmt: skip
        assert Alibaba().alone(other) is None
