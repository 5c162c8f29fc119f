"""Several identities of one vendor in one container, told apart by name; unmodified boto3 at the strict STS."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import boto3
import jsonpatch
import pytest
from botocore.exceptions import NoCredentialsError, ProfileNotFound

from apostille.core.conflicts import conflicts
from apostille.core.inject import inject
from apostille.core.judge import judge_binding
from apostille.core.pod_plan import PodPlan
from apostille.core.settings import InjectionSettings
from apostille.model import names
from builders import CONTEXT, allow, binding, plan, pod, role, trust
from samples.gcp import gcp_binding, gcp_trust
from self_hosted import minio_binding, minio_trust
from testbed.strict_sts_world import ACCOUNT, AUDIENCE, World, world
from testbed.strict_sts_world import role as rendered_role

ANNOTATION = f"{names.FILES_PREFIX}aws-config"
PATH = f"{names.FILES_DIRECTORY}/aws.config"


def named(name: str, of: str = "", **spec: Any) -> Any:
    """A binding of AWS for the role ``payments-NAME`` that asks for a profile."""
    target = {"aws": {"roleARN": role(f"payments-{name}")}}
    return binding(f"s3-{name}", target=target, delivery={"profile": of or name}, **spec)


def injected(raw: dict[str, Any], *plans: PodPlan) -> dict[str, Any]:
    """The pod after the webhook, and after it once more."""
    made = inject(raw, plans, InjectionSettings())
    assert not made.denial, made.denial
    after: dict[str, Any] = jsonpatch.apply_patch(deepcopy(raw), list(made.operations))
    assert inject(after, plans, InjectionSettings()).operations == ()
    return after


def environment(after: dict[str, Any]) -> dict[str, str]:
    (app,) = after["spec"]["containers"]
    return {variable["name"]: variable["value"] for variable in app.get("env", ())}


READER, WRITER = plan(named("reader")), plan(named("writer"))


def test_one_file_holds_the_profiles_and_no_variable_says_which_is_meant() -> None:
    after = injected(pod(), WRITER, READER)
    text = after["metadata"]["annotations"][ANNOTATION]
    assert text.index("[profile reader]") < text.index("[profile writer]")
    assert f"web_identity_token_file = {names.token_file('s3-writer')}" in text
    assert environment(after) == {
        "AWS_CONFIG_FILE": PATH,
        "AWS_SDK_LOAD_CONFIG": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    (files,) = [volume for volume in after["spec"]["volumes"] if volume["name"] == names.FILES_VOLUME]
    assert {
        "path": "aws.config",
        "fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{ANNOTATION}']"},
    } in files["downwardAPI"]["items"]
    (app,) = after["spec"]["containers"]
    assert {names.FILES_VOLUME, "apostille-token-s3-reader", "apostille-token-s3-writer"} == {
        mount["name"] for mount in app["volumeMounts"]
    }


def test_the_order_of_bindings_and_other_bindings_change_nothing() -> None:
    assert injected(pod(), READER, WRITER) == injected(pod(), WRITER, READER)
    assert READER.frozen.digest != plan(named("reader", "another")).frozen.digest
    assert READER.frozen.digest != WRITER.frozen.digest


def test_a_pod_loses_the_file_with_its_last_profile() -> None:
    before = injected(pod(), READER, WRITER)
    after = injected(before, plan(binding("s3-reader")))
    assert ANNOTATION not in after["metadata"]["annotations"]
    assert "AWS_CONFIG_FILE" not in environment(after)


@pytest.mark.parametrize("include", [(), ("app",)])
def test_two_of_one_name_are_refused_by_the_binding_and_by_the_pod(include: tuple[str, ...]) -> None:
    one, other = named("reader", "main"), named("writer", "main")
    found = inject(pod(), [plan(one), plan(other)], InjectionSettings())
    assert "both are profile main" in found.denial
    assert "spec.delivery.profile" in found.denial
    (finding,) = conflicts((one, trust()), [(other, trust())])
    assert "profile main" in str(finding)


def test_two_with_names_are_no_conflict_and_two_without_are() -> None:
    assert list(conflicts((named("reader"), trust()), [(named("writer"), trust())])) == []
    assert list(conflicts((named("reader"), trust()), [(binding("plain"), trust())])) == []
    without = binding("other", target={"aws": {"roleARN": role("payments-writer")}})
    (finding,) = conflicts((binding("plain"), trust()), [(without, trust())])
    assert "AWS_ROLE_ARN" in str(finding)
    denial = inject(pod(), [plan(binding("plain")), plan(without)], InjectionSettings()).denial
    assert "both set AWS_ROLE_ARN" in denial
    assert "spec.delivery.profile" in denial, "the way out is named"


@pytest.mark.parametrize(
    ("of", "by", "why"),
    [
        (binding(delivery={"profile": "x", "mode": "Sidecar"}), trust(), "with Sidecar no SDK"),
        (binding(delivery={"profile": "x", "mode": "TokenOnly"}), trust(), "with TokenOnly no SDK"),
        (binding(delivery={"profile": "x", "files": [{"format": "JSON", "name": "y"}]}), trust(), "with Sidecar no"),
        (gcp_binding(delivery={"profile": "x"}), gcp_trust(), "GCP's SDKs have no profiles"),
    ],
)
def test_a_profile_that_nobody_would_read_is_refused(of: Any, by: Any, why: str) -> None:
    (finding,) = judge_binding(of, by, CONTEXT)
    assert finding.path == "spec.delivery.profile"
    assert why in str(finding)


def test_a_profile_is_accepted_where_the_sdk_reads_it() -> None:
    assert judge_binding(binding(delivery={"profile": "x"}), trust(), CONTEXT) == []
    assert judge_binding(minio_binding(delivery={"profile": "x"}), minio_trust(), CONTEXT) == []


def test_the_variable_that_chooses_a_profile_is_no_static_credential() -> None:
    env = [{"name": name, "value": "reader"} for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID")]
    told = inject(pod({"name": "app", "image": "a", "env": env}), [READER], InjectionSettings()).warnings
    assert not any("AWS_PROFILE" in text for text in told)
    assert any("AWS_ACCESS_KEY_ID" in text for text in told)
    told = inject(pod({"name": "app", "env": env}), [plan(binding())], InjectionSettings()).warnings
    assert any("AWS_PROFILE" in text for text in told)


@pytest.fixture(scope="module")
def sts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("sts")) as running:
        running.aws.iam.apply_role(rendered_role("payments-writer"))
        yield running


def as_container(after: dict[str, Any], directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process gets the environment and the shared file of the pod's container, at paths of the test's own."""

    def here(text: str) -> str:
        return text.replace(names.TOKENS_DIRECTORY, str(directory)).replace(names.FILES_DIRECTORY, str(directory))

    (directory / "aws.config").write_text(here(after["metadata"]["annotations"][ANNOTATION]))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION",
                 "AWS_DEFAULT_REGION", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(directory / "none"))
    for name, value in environment(after).items():
        monkeypatch.setenv(name, here(value))


def test_boto3_is_whom_the_profile_names_and_nobody_without(
    sts: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = [role("payments-reader"), role("payments-writer")]
    by = trust(audience=AUDIENCE, allow=[allow(targets=targets)])
    after = injected(pod(), plan(named("reader"), by), plan(named("writer"), by))
    as_container(after, tmp_path, monkeypatch)
    for name in ("s3-reader", "s3-writer"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(sts.token())
    monkeypatch.setenv("AWS_ENDPOINT_URL", sts.aws.url)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(sts.aws.ca))

    def caller(session: boto3.Session) -> str:
        return str(session.client("sts").get_caller_identity()["Arn"])

    assumed = f"arn:aws:sts::{ACCOUNT}:assumed-role"
    sessions = {name: boto3.Session(profile_name=name) for name in ("reader", "writer")}
    for name, session in sessions.items():
        assert caller(session) == f"{assumed}/payments-{name}/payments.s3-{name}"
        assert session.region_name == "eu-west-1"
    monkeypatch.setenv("AWS_PROFILE", "writer")
    assert caller(boto3.Session()) == f"{assumed}/payments-writer/payments.s3-writer"
    monkeypatch.delenv("AWS_PROFILE")
    with pytest.raises(NoCredentialsError):
        caller(boto3.Session(region_name="eu-west-1"))
    with pytest.raises(ProfileNotFound):
        boto3.Session(profile_name="stranger")


def test_a_default_profile_is_one_that_is_asked_for(
    sts: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by = trust(audience=AUDIENCE)
    as_container(injected(pod(), plan(named("reader", "default"), by)), tmp_path, monkeypatch)
    (tmp_path / "s3-reader").mkdir()
    (tmp_path / "s3-reader" / "token").write_text(sts.token())
    monkeypatch.setenv("AWS_ENDPOINT_URL", sts.aws.url)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(sts.aws.ca))
    assert "assumed-role/payments-reader" in boto3.Session().client("sts").get_caller_identity()["Arn"]


def test_boto3_finds_minio_by_its_profile_beside_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by = minio_trust(settings={"caBundle": "-----BEGIN CERTIFICATE-----\n"})
    lake = plan(minio_binding("lake", delivery={"profile": "lake"}), by)
    as_container(injected(pod(), lake, READER), tmp_path, monkeypatch)
    session = boto3.Session(profile_name="lake")
    assert session._session.get_scoped_config()["ca_bundle"] == str(tmp_path / "lake" / "ca.pem")
    for service in ("s3", "sts"):
        assert session.client(service, verify=False).meta.endpoint_url == "https://minio.example:9000"
    assert "amazonaws" in boto3.Session(profile_name="reader").client("s3").meta.endpoint_url
