"""Unmodified SDKs ask the loopback endpoints: boto3 and azure-identity."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import boto3
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, ManagedIdentityCredential
from botocore.config import Config
from botocore.exceptions import CredentialRetrievalError, MetadataRetrievalError

from apostille_exchange import grants, transport
from apostille_exchange.credential import Credential
from apostille_exchange.endpoint.listen import bind
from apostille_exchange.endpoint.server import Server
from apostille_exchange.grants.grant import Ask, Grant
from apostille_exchange.messages import Reply, Request
from apostille_exchange.recipe import Output, Recipe, Serve
from exchange.scene import Pod, ended, recipe, token
from testbed.strict_sts_world import ACCOUNT, AUDIENCE, ROLE, World, world

STORAGE = "https://storage.azure.com"


@pytest.fixture(scope="module")
def sts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("sts")) as running:
        yield running


class Served:
    """A pod whose binding is served on loopback by a real server."""

    def __init__(self, pod: Pod, shape: str) -> None:
        self.pod = pod
        (listener,) = bind([0])
        self.server = Server([listener], pod.clock)
        (port,) = self.server.ports
        self.url = f"http://127.0.0.1:{port}/s3-files/{shape}"
        self.server.start({port: pod.exchanger.routes()[0]})


def secret_of(directory: Path) -> Path:
    return directory / "run" / "s3-files" / "authorization"


@pytest.fixture
def aws(sts: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    pod = Pod(
        tmp_path,
        post=transport.post,
        endpoint=sts.aws.url + "/",
        ca=str(sts.aws.ca),
        audience=AUDIENCE,
        serves=(Serve("aws", 0, str(secret_of(tmp_path))),),
        outputs=(Output(str(tmp_path / "run" / "s3-files" / ".kept"), "kept", 0o600),),
    )
    pod.files.put_plan(recipe(role=ROLE))
    pod.files.put_token(sts.token())
    made = Served(pod, "aws")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": made.url,
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(secret_of(tmp_path)),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": sts.aws.url,
        "AWS_CA_BUNDLE": str(sts.aws.ca),
    }.items():
        monkeypatch.setenv(name, value)
    yield made
    made.server.close()


def caller(session: boto3.Session) -> str:
    """Who the session is at STS."""
    client = session.client("sts", config=Config(retries={"total_max_attempts": 1}))
    return str(client.get_caller_identity()["Arn"])


def test_boto3_is_a_session_of_the_role(aws: Served) -> None:
    aws.pod.tick()
    session = boto3.Session()
    assert caller(session) == f"arn:aws:sts::{ACCOUNT}:assumed-role/payments-reader/payments.s3-files"
    assert session.get_credentials().method == "container-role"  # type: ignore[union-attr]


def test_a_session_that_lives_on_takes_up_the_renewed_credential(aws: Served) -> None:
    # botocore asks again for what has less than fifteen minutes left.
    aws.pod.files.put_plan(recipe(role=ROLE, seconds=900))
    aws.pod.tick()
    session = boto3.Session()
    before = caller(session)
    found = session.get_credentials()
    assert found is not None
    old = found.access_key
    assert aws.pod.tick(600) == 1
    assert found.access_key != old
    assert caller(session) == before


def test_threads_that_work_through_renewals_see_no_failed_call(aws: Served) -> None:
    aws.pod.tick()
    failed: list[BaseException] = []
    done: list[str] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                done.append(caller(boto3.Session()))
            except BaseException as error:
                failed.append(error)
                return

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 60
    renewed = 0
    while len(done) < 12 and not failed and time.monotonic() < deadline:
        # Another session length is another order, which is exchanged for at once.
        aws.pod.files.put_plan(recipe(role=ROLE, seconds=1000 + renewed))
        renewed += aws.pod.tick()
    stop.set()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert len(done) >= 12
    assert renewed > 1


def test_no_other_identity_is_looked_for_after_the_end_of_the_binding(aws: Served) -> None:
    aws.pod.tick()
    aws.pod.files.put_plan(ended())
    aws.pod.tick()
    with pytest.raises((CredentialRetrievalError, MetadataRetrievalError)):
        caller(boto3.Session())


class Opaque(Grant):
    """A grant of any party that yields a token; what it is asked does not matter here."""

    def check(self, parameters: Mapping[str, str], where: str) -> None:
        """Takes any."""

    def request(self, ask: Ask) -> Request:
        return Request(ask.site.endpoint, {"jwt": ask.assertion.token})

    def read(self, reply: Reply, ask: Ask) -> Credential:
        return Credential({"token": "opaque-token-of-entra"}, reply.received + 3600, "opaque-token-of-entra")


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(grants, "load", lambda name: Opaque())
    pod = Pod(
        tmp_path,
        grant="Opaque",
        serves=(Serve("azure", 0, str(secret_of(tmp_path))),),
        outputs=(Output(str(tmp_path / "run" / "s3-files" / ".kept"), "kept", 0o600),),
    )
    pod.files.put_plan(Recipe("s3-files", {"scope": f"{STORAGE}/.default"}, 3600))
    pod.files.put_token(token())
    pod.answers.extend([lambda _: Reply(200, {}, b"", pod.clock.now)] * 20)
    pod.tick()
    made = Served(pod, "azure")
    monkeypatch.setenv("IDENTITY_ENDPOINT", made.url)
    yield made
    made.server.close()


def test_azure_identity_gets_the_bindings_token_by_the_header(
    azure: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", secret_of(tmp_path).read_text())
    got = ManagedIdentityCredential().get_token(f"{STORAGE}/.default")
    assert got.token == "opaque-token-of-entra"
    assert abs(got.expires_on - azure.pod.clock.now - 3600) < 60
    with pytest.raises(ClientAuthenticationError):
        ManagedIdentityCredential().get_token("https://graph.microsoft.com/.default")


def test_azure_identity_without_the_secret_gets_nothing(azure: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", "0" * 64)
    with pytest.raises((ClientAuthenticationError, CredentialUnavailableError)):
        ManagedIdentityCredential().get_token(f"{STORAGE}/.default")


# In a mount namespace of its own, where the folder of Azure Arc's keys is the pod's.
ARC = """
set -eu
mount -t tmpfs none /var/opt
mkdir /var/opt/azcmagent
ln -s "$1" /var/opt/azcmagent/tokens
exec "$2" -c "$3"
"""
ASK = """
import os
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, DefaultAzureCredential, ManagedIdentityCredential
for made in (ManagedIdentityCredential(), ManagedIdentityCredential(client_id=os.environ["WHO"]),
             DefaultAzureCredential(), ManagedIdentityCredential(client_id="somebody-else")):
    try:
        print(made.get_token(os.environ["SCOPE"]).token)
    except (ClientAuthenticationError, CredentialUnavailableError, ValueError) as error:
        print("refused", type(error).__name__)
"""
WHO = "aaaaaaaa-0000-0000-0000-000000000000"


@pytest.fixture
def arc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """As a binding with the endpoint AzureManagedIdentity has it: the key lies in a folder of the binding's volume."""
    monkeypatch.setattr(grants, "load", lambda name: Opaque())
    folder = tmp_path / "run" / "s3-files"
    pod = Pod(
        tmp_path,
        grant="Opaque",
        serves=(Serve("azure", 0, str(folder / "tokens" / "apostille.key"), 0o600),),
        outputs=(Output(str(folder / ".kept"), "kept", 0o600),),
    )
    pod.files.put_plan(Recipe("s3-files", {"scope": f"{STORAGE}/.default", "clientID": WHO}, 3600))
    pod.files.put_token(token())
    pod.answers.extend([lambda _: Reply(200, {}, b"", pod.clock.now)] * 20)
    pod.tick()
    made = Served(pod, "azure")
    yield made
    made.server.close()


@pytest.mark.usefixtures("isolation")
def test_azure_identity_takes_it_for_azure_arc_and_the_key_from_its_file(arc: Served, tmp_path: Path) -> None:
    def said() -> list[str]:
        ran = subprocess.run(
            ["unshare", "--map-root-user", "--mount", "sh", "-c", ARC, "arc",
             str(tmp_path / "run" / "s3-files" / "tokens"), sys.executable, ASK],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "IDENTITY_ENDPOINT": arc.url,
                 "IMDS_ENDPOINT": arc.url, "SCOPE": f"{STORAGE}/.default", "WHO": WHO},
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.splitlines()

    assert said() == ["opaque-token-of-entra"] * 3 + ["refused ClientAuthenticationError"]
    (tmp_path / "run" / "s3-files" / "tokens" / "apostille.key").write_text("0" * 64)
    assert all(line.startswith("refused") for line in said())
