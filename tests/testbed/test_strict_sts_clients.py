"""Unmodified clients at the strict AWS party: boto3 as a pod would run it, and S3 behind the sessions."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.session import Session

from testbed.strict_sts_issuer import Issuer, served
from testbed.strict_sts_world import (
    ACCOUNT,
    AUDIENCE,
    ISSUER,
    ROLE,
    SUBJECT,
    Answer,
    World,
    assume,
    call,
    provider,
    role,
    world,
)

OBJECTS = {"2026/a.txt": b"first", "2026/b c+d.txt": b"second"}

POD = """
import boto3
print(boto3.client("sts").get_caller_identity()["Arn"])
s3 = boto3.client("s3")
for entry in s3.list_objects_v2(Bucket="invoices")["Contents"]:
    print(entry["Key"], s3.get_object(Bucket="invoices", Key=entry["Key"])["Body"].read().decode())
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world with two buckets of which the role may read one."""
    with world(tmp_path_factory.mktemp("clients")) as running:
        running.aws.create_bucket("invoices", OBJECTS)
        running.aws.create_bucket("salaries", {"all.txt": b"secret"})
        running.aws.iam.permit("payments-reader", ["invoices"])
        yield running


@pytest.fixture(autouse=True)
def _time(shared: World) -> Iterator[None]:
    yield
    shared.clock.ahead = 0


def environment(running: World, token_file: Path) -> dict[str, str]:
    """What the pod's container is given."""
    return {
        "AWS_ROLE_ARN": ROLE,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(token_file),
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_STS": running.aws.url,
        "AWS_ENDPOINT_URL_S3": running.aws.url,
        "AWS_CA_BUNDLE": str(running.aws.ca),
        "AWS_EC2_METADATA_DISABLED": "true",
        "PATH": os.environ["PATH"],
        "HOME": str(token_file.parent),
    }


def pod(running: World, token: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Runs the pod's program with a token in its file."""
    token_file = directory / "token"
    token_file.write_text(token)
    command = [sys.executable, "-c", POD]
    return subprocess.run(
        command, env=environment(running, token_file), capture_output=True, text=True, timeout=60, check=False
    )


def credentials(running: World, **changes: str) -> Credentials:
    """A session of the role."""
    answer = assume(running.aws, running.token(), **changes)
    return Credentials(*(answer.element(name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")))


def client(running: World, service: str, using: Credentials) -> Any:
    """An unmodified boto3 client that gives up at once."""
    return boto3.client(
        service,
        region_name="eu-west-1",
        endpoint_url=running.aws.url,
        verify=str(running.aws.ca),
        aws_access_key_id=using.access_key,
        aws_secret_access_key=using.secret_key,
        aws_session_token=using.token,
        config=Config(retries={"total_max_attempts": 1}),
    )


def refusal(operation: Callable[[], Any]) -> str:
    """The code of the ClientError that the operation raises."""
    with pytest.raises(ClientError) as refused:
        operation()
    return str(refused.value.response["Error"]["Code"])


def test_a_pod_exchanges_its_token_and_reads_a_bucket(shared: World, tmp_path: Path) -> None:
    ran = pod(shared, shared.token(), tmp_path)
    assert ran.returncode == 0, ran.stderr
    arn, *lines = ran.stdout.splitlines()
    assert arn.startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/payments-reader/botocore-session-")
    assert lines == ["2026/a.txt first", "2026/b c+d.txt second"]


@pytest.mark.parametrize(
    ("make", "code", "requests"),
    [
        (lambda running: running.token("system:serviceaccount:evil:x"), "AccessDenied", 1),
        (lambda running: running.token(audience="other"), "InvalidIdentityToken", 1),
        (lambda running: running.token(exp=1_700_000_000), "ExpiredTokenException", 1),
    ],
)
def test_boto3_reports_refusals(
    shared: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[World], str],
    code: str,
    requests: int,
) -> None:
    assert refusal(lambda: _identity(shared, make(shared), tmp_path, monkeypatch)) == code
    assert [one.code for one in shared.aws.exchanges[-requests:]] == [code] * requests


def test_boto3_tries_a_transient_fault_again(shared: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared.aws.fail_next(2, "IDPCommunicationError")
    assert _identity(shared, shared.token(), tmp_path, monkeypatch)["Account"] == ACCOUNT
    assert [one.code for one in shared.aws.exchanges[-3:]] == ["IDPCommunicationError"] * 2 + ["OK"]


def _identity(running: World, token: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    token_file = directory / "token"
    token_file.write_text(token)
    for name, value in environment(running, token_file).items():
        monkeypatch.setenv(name, value)
    return dict(boto3.session.Session(botocore_session=Session()).client("sts").get_caller_identity())


def test_reading_is_what_the_role_may(shared: World) -> None:
    s3 = client(shared, "s3", credentials(shared))
    assert s3.head_bucket(Bucket="invoices")["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert s3.head_object(Bucket="invoices", Key="2026/a.txt")["ContentLength"] == 5
    assert s3.get_object(Bucket="invoices", Key="2026/a.txt", Range="bytes=1-2")["Body"].read() == b"ir"
    assert s3.list_objects_v2(Bucket="invoices", Prefix="2026/b c")["KeyCount"] == 1
    assert refusal(lambda: s3.get_object(Bucket="invoices", Key="none")) == "NoSuchKey"


@pytest.mark.parametrize(
    "operation",
    [
        pytest.param(lambda s3: s3.list_buckets(), id="list buckets"),
        pytest.param(lambda s3: s3.list_objects_v2(Bucket="salaries"), id="another bucket"),
        pytest.param(lambda s3: s3.list_objects_v2(Bucket="not-there"), id="no bucket"),
        pytest.param(lambda s3: s3.put_object(Bucket="invoices", Key="a", Body=b"x"), id="write"),
        pytest.param(lambda s3: s3.delete_object(Bucket="invoices", Key="2026/a.txt"), id="delete"),
        pytest.param(lambda s3: s3.get_bucket_acl(Bucket="invoices"), id="subresource"),
    ],
)
def test_everything_else_is_denied(shared: World, operation: Callable[[Any], Any]) -> None:
    s3 = client(shared, "s3", credentials(shared))
    assert refusal(lambda: operation(s3)) == "AccessDenied"


def test_a_session_ends_when_it_says(shared: World) -> None:
    using = credentials(shared, DurationSeconds="900")
    s3, sts = client(shared, "s3", using), client(shared, "sts", using)
    shared.clock.ahead = 899 - 5
    assert s3.list_objects_v2(Bucket="invoices")["KeyCount"] == 2
    shared.clock.ahead = 901
    assert refusal(lambda: s3.list_objects_v2(Bucket="invoices")) == "ExpiredToken"
    assert refusal(sts.get_caller_identity) == "ExpiredToken"


@pytest.mark.parametrize(
    ("field", "s3_code", "sts_code"),
    [
        ("access_key", "InvalidAccessKeyId", "InvalidClientTokenId"),
        ("secret_key", "SignatureDoesNotMatch", "SignatureDoesNotMatch"),
        ("token", "InvalidToken", "InvalidClientTokenId"),
    ],
)
def test_foreign_signatures(shared: World, field: str, s3_code: str, sts_code: str) -> None:
    using = credentials(shared)
    setattr(using, field, "ASIAAAAAAAAAAAAAAAAA")
    assert refusal(lambda: client(shared, "s3", using).list_objects_v2(Bucket="invoices")) == s3_code
    assert refusal(client(shared, "sts", using).get_caller_identity) == sts_code


def test_long_term_keys_are_unknown(shared: World) -> None:
    using = Credentials("AKIAIOSFODNN7EXAMPLE", "x" * 40)
    assert refusal(lambda: client(shared, "s3", using).list_objects_v2(Bucket="invoices")) == "InvalidAccessKeyId"


def test_unsigned_requests(shared: World) -> None:
    host = {"Host": "s3.eu-west-1.amazonaws.com"}
    for headers in ({}, host, {"Host": "invoices.s3.eu-west-1.amazonaws.com"}):
        answer = call(shared.aws, "GET", "/invoices", headers=headers)
        assert (answer.status, answer.code) == (403, "AccessDenied")
    answer = call(shared.aws, "GET", "/invoices", headers=host | {"Authorization": "Bearer x"})
    assert (answer.status, answer.code) == (400, "AuthorizationHeaderMalformed")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = call(shared.aws, "POST", "/", "Action=GetCallerIdentity&Version=2011-06-15", form)
    assert (answer.status, answer.code) == (403, "MissingAuthenticationToken")


def signed(
    running: World, host: str, path: str, region: str = "eu-west-1", after: dict[str, str] | None = None
) -> Answer:
    """A GET signed by botocore for S3; ``after`` replaces headers once they are signed."""
    address = {"Host": host, "X-Amz-Content-Sha256": hashlib.sha256(b"").hexdigest()}
    request = AWSRequest("GET", f"https://{host}{path}", headers=address)
    SigV4Auth(credentials(running), "s3", region).add_auth(request)
    return call(running.aws, "GET", path, headers=dict(request.headers.items()) | (after or {}))


def test_the_vendors_host_names(shared: World) -> None:
    assert shared.aws.hosts == (
        "sts.eu-west-1.amazonaws.com",
        "sts.amazonaws.com",
        "s3.eu-west-1.amazonaws.com",
        "invoices.s3.eu-west-1.amazonaws.com",
        "salaries.s3.eu-west-1.amazonaws.com",
    )
    assert signed(shared, "s3.eu-west-1.amazonaws.com", "/invoices/2026/a.txt").text == "first"
    assert signed(shared, "invoices.s3.eu-west-1.amazonaws.com", "/2026/a.txt").text == "first"
    assert signed(shared, "salaries.s3.eu-west-1.amazonaws.com", "/all.txt").code == "AccessDenied"


@pytest.mark.parametrize(
    "path",
    [
        "/invoices/../salaries/all.txt",
        "/invoices/%2e%2e/salaries/all.txt",
        "//salaries/all.txt",
        "/%73alaries/all.txt",
    ],
)
def test_no_path_leads_to_another_bucket(shared: World, path: str) -> None:
    answer = signed(shared, "s3.eu-west-1.amazonaws.com", path)
    assert answer.status >= 400
    assert "secret" not in answer.text
    assert signed(shared, "invoices.s3.eu-west-1.amazonaws.com", path).status >= 400


@pytest.mark.parametrize(
    ("after", "code"),
    [
        ({"X-Amz-Date": "20200101T000000Z"}, "RequestTimeTooSkewed"),
        ({"X-Amz-Date": "yesterday"}, "AuthorizationHeaderMalformed"),
        ({"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}, "SignatureDoesNotMatch"),
        ({"X-Amz-Extra": "1"}, "AccessDenied"),
    ],
)
def test_a_changed_request_is_refused(shared: World, after: dict[str, str], code: str) -> None:
    assert signed(shared, "s3.eu-west-1.amazonaws.com", "/invoices", after=after).code == code


def test_a_signature_for_another_region(shared: World) -> None:
    answer = signed(shared, "s3.eu-west-1.amazonaws.com", "/invoices", region="us-east-1")
    assert answer.code == "AuthorizationHeaderMalformed"


def test_sessions_survive_a_restart_but_not_their_role(tmp_path: Path) -> None:
    with world(tmp_path) as running:
        running.aws.create_bucket("orders", {"a": b"1"})
        running.aws.iam.permit("payments-reader", ["orders"])
        s3 = client(running, "s3", credentials(running))
        running.aws.stop()
        running.aws.start()
        assert s3.list_objects_v2(Bucket="orders")["KeyCount"] == 1
        running.aws.outage(True)
        assert refusal(lambda: s3.list_objects_v2(Bucket="orders")) == "ServiceUnavailable"
        running.aws.outage(False)
        running.aws.iam.remove_role("payments-reader")
        running.aws.iam.apply_role(role())
        running.aws.iam.permit("payments-reader", ["orders"])
        assert refusal(lambda: s3.list_objects_v2(Bucket="orders")) == "InvalidAccessKeyId"


def test_as_a_process_that_follows_its_documents(tmp_path: Path) -> None:
    documents = tmp_path / "documents"
    documents.mkdir()
    (documents / "oidc-provider.json").write_text(json.dumps(provider()))
    issuer = Issuer(ISSUER)
    with served(issuer, tmp_path / "issuer") as (keys, ca):
        command = [sys.executable, "-m", "apostille_testbed.parties", "aws", "--directory", str(tmp_path / "aws")]
        command += ["--documents", str(documents), "--resolve", f"{ISSUER}=https://127.0.0.1:{keys.port},{ca}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            try:
                assert running.stdout is not None
                ready = json.loads(running.stdout.readline())
                port = int(ready["url"].rsplit(":", 1)[1])
                outside = _Outside(port, Path(ready["ca"]))
                token = issuer.token(SUBJECT, AUDIENCE)
                assert assume(outside, token).code == "AccessDenied"  # type: ignore[arg-type]
                assert json.loads(running.stdout.readline())["code"] == "AccessDenied"
                (documents / "role-payments-reader.json").write_text(json.dumps(role()))
                deadline = time.monotonic() + 30
                while assume(outside, token).code != "OK":  # type: ignore[arg-type]
                    assert time.monotonic() < deadline
                line = next(line for line in running.stdout if '"OK"' in line)
                assert json.loads(line)["subject"] == SUBJECT
                assert token not in line
            finally:
                running.send_signal(signal.SIGTERM)
        assert running.returncode == 0


class _Outside:
    def __init__(self, port: int, ca: Path) -> None:
        self.port = port
        self.ca = ca
