"""Unmodified boto3 reads what the sidecar wrote."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from apostille_exchange import transport
from exchange.scene import Pod, recipe
from testbed.strict_sts_world import ACCOUNT, AUDIENCE, ROLE, World, world


class NodeMetadata(ThreadingHTTPServer):
    """The node's metadata service, ready to give away the node's own identity; counts who asks."""

    def __init__(self) -> None:
        self.asked = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                server.asked += 1
                self.send_response(404)
                self.end_headers()

            do_GET = do_PUT = _answer

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture(scope="module")
def sts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("sts")) as running:
        running.aws.create_bucket("invoices", {"2026/a.txt": b"first"})
        running.aws.iam.permit("payments-reader", ["invoices"])
        yield running


@pytest.fixture
def node() -> Iterator[NodeMetadata]:
    with NodeMetadata() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def pod(sts: World, node: NodeMetadata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pod:
    """A pod with its first credential, and the environment that its containers have."""
    made = Pod(tmp_path, post=transport.post, endpoint=sts.aws.url + "/", ca=str(sts.aws.ca), audience=AUDIENCE)
    made.files.put_plan(recipe(role=ROLE))
    made.files.put_token(sts.token())
    made.tick()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(made.files.output()))
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", sts.aws.url)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(sts.aws.ca))
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{node.server_port}/")
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED", raising=False)
    return made


def caller(session: boto3.Session) -> str:
    """Who the session is at STS."""
    client = session.client("sts", config=Config(retries={"total_max_attempts": 1}))
    return str(client.get_caller_identity()["Arn"])


def test_the_file_is_a_session_of_the_role(pod: Pod, node: NodeMetadata) -> None:
    session = boto3.Session()
    assert caller(session) == f"arn:aws:sts::{ACCOUNT}:assumed-role/payments-reader/payments.s3-files"
    listed = session.client("s3").list_objects_v2(Bucket="invoices")
    assert [entry["Key"] for entry in listed["Contents"]] == ["2026/a.txt"]
    credentials = session.get_credentials()
    assert credentials is not None
    assert credentials.method == "shared-credentials-file"
    assert node.asked == 0


def test_a_new_session_takes_the_renewed_file_and_an_old_one_lives_as_long_as_its_credential(
    sts: World, pod: Pod
) -> None:
    old = boto3.Session()
    assert caller(old)
    before = pod.content()
    pod.tick(2500)
    assert pod.content() != before
    new = boto3.Session()
    keys = [each.get_credentials().access_key for each in (old, new)]  # type: ignore[union-attr]
    assert keys[0] in before
    assert keys[1] in pod.content()
    # botocore does not read the file again for a session that has it; both are good, as the renewal came in time.
    assert caller(old) == caller(new)


def test_after_the_end_of_an_unrenewed_credential_no_other_identity_is_looked_for(
    sts: World, pod: Pod, node: NodeMetadata
) -> None:
    sts.aws.outage(True)
    try:
        pod.run(3700, 100)
    finally:
        sts.aws.outage(False)
    sts.clock.ahead = 3700
    try:
        with pytest.raises(ClientError, match="ExpiredToken"):
            caller(boto3.Session())
    finally:
        sts.clock.ahead = 0
    assert node.asked == 0
