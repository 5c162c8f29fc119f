"""Google's SDK asks the sidecar for the assertion and exchanges it: unmodified google-auth, the strict Google."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apostille.core.pod_plan import pod_plan
from apostille.model import names
from apostille_exchange.endpoint.listen import bind
from apostille_exchange.endpoint.server import Server
from apostille_exchange.recipe import Admission, Output, Recipe, Serve, dumps_admission, loads_admission
from exchange.scene import Pod, PodFiles, ended, token
from exchange.sidecar_process import Sidecar, until
from exchange.test_process import free_port
from samples.gcp import gcp_binding, gcp_trust
from testbed.google_world import AUDIENCE, READER, World, world

BINDING = "ledger"
SDK = """
import sys, google.auth, google.auth.transport.requests
scopes = ["https://www.googleapis.com/auth/cloud-platform"]
credentials, project = google.auth.default(scopes=scopes)
try:
    credentials.refresh(google.auth.transport.requests.Request())
except google.auth.exceptions.GoogleAuthError as error:
    print("refused", error)
else:
    print(project, credentials.token)
"""


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("google")) as running:
        yield running


class Scene:
    """A pod of a binding that asks for the endpoint, as the plan has it; only directories are the test's."""

    def __init__(self, google: World, directory: Path) -> None:
        self.google = google
        self.files = PodFiles(directory)
        asked = {"endpoint": {"type": "GoogleExternalAccount", "port": free_port()}}
        plan = pod_plan(gcp_trust(audience=AUDIENCE), gcp_binding(BINDING, delivery=asked))
        assert plan.frozen.admission is not None
        assert plan.live.recipe is not None
        self.admission = self._here(plan.frozen.admission)
        self.environment = {name: self._path(value) for name, value in plan.frozen.environment.items()}
        self.files.put_plan(plan.live.recipe)
        self.put_token()
        self.sidecar = Sidecar(self.files, [self.admission])

    def _path(self, text: str) -> str:
        text = text.replace(names.TOKENS_DIRECTORY, str(self.files.directory / "tokens"))
        return text.replace(names.CREDENTIALS_DIRECTORY, str(self.files.credentials))

    def _here(self, admission: Admission) -> Admission:
        return loads_admission(self._path(dumps_admission(admission)))

    def put_token(self) -> None:
        """What the kubelet brings."""
        self.files.put_token(self.google.token(jti="jti-of-the-cluster"), BINDING)

    @property
    def credentials_file(self) -> Path:
        return Path(self.environment["GOOGLE_APPLICATION_CREDENTIALS"])

    def sdk(self) -> str:
        """google-auth as a container runs it; returns what it prints."""
        ran = subprocess.run(
            [sys.executable, "-c", SDK], capture_output=True, text=True, timeout=120, check=False,
            env={
                "PATH": os.environ["PATH"], "HOME": str(self.files.directory), "HTTPS_PROXY": self.google.proxy.url,
                "REQUESTS_CA_BUNDLE": str(self.google.google.ca), **self.environment,
            },
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()


@pytest.fixture
def scene(google: World, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(google, tmp_path)
    until(made.sidecar.ready, "the first assertion")
    yield made
    if made.sidecar.running():
        made.sidecar.end()


def reader(scene: Scene, said: str) -> None:
    """The SDK was let in as the service account that the binding names."""
    project, issued = said.split()
    holder = scene.google.google.holder(issued)
    assert holder is not None
    assert (project, holder.service_account) == ("my-project", READER)


def test_google_auth_is_the_service_account_until_the_binding_ends(scene: Scene) -> None:
    reader(scene, scene.sdk())

    document = json.loads(scene.credentials_file.read_text())
    source = document["credential_source"]
    plain = {**source, "url": source["url"] + "?format=text", "format": {"type": "text"}}
    own = scene.files.directory / "own.json"
    own.write_text(json.dumps({**document, "credential_source": plain}))
    as_given, scene.environment["GOOGLE_APPLICATION_CREDENTIALS"] = scene.credentials_file, str(own)
    reader(scene, scene.sdk())

    own.write_text(json.dumps({**document, "credential_source": {**source, "headers": {"Authorization": "Bearer x"}}}))
    assert scene.sdk().startswith("refused")
    own.write_text(json.dumps({**document, "credential_source": {**source, "headers": {}}}))
    assert scene.sdk().startswith("refused")

    scene.environment["GOOGLE_APPLICATION_CREDENTIALS"] = str(as_given)
    scene.files.put_plan(ended(BINDING))
    until(lambda: "refused" in scene.sdk(), "the end of the binding")


def test_neither_the_assertion_nor_the_secret_is_said_anywhere(scene: Scene) -> None:
    secret = Path(scene.admission.serves[0].secret).read_text()
    assertion = scene.files.token(BINDING).read_text()
    reader(scene, scene.sdk())
    assert secret in scene.credentials_file.read_text()
    for text in (scene.sidecar.output(), json.dumps(scene.environment), dumps_admission(scene.admission)):
        assert secret not in text
        assert assertion not in text
    (line,) = scene.sidecar.said("Exchanged")
    assert line["jti"] == "jti-of-the-cluster"
    assert line["credential"].startswith("sha256:")


class Following:
    """The endpoint in this process, under a clock that stands still."""

    def __init__(self, directory: Path) -> None:
        folder = directory / "run" / BINDING
        (listener,) = bind([0])
        port = listener.getsockname()[1]
        serve = Serve("google", port, str(folder / "authorization"), 0o600, str(folder / "credentials.json"), "{}")
        self.pod = Pod(
            directory, BINDING, grant="Assertion", endpoint="https://sts.googleapis.com/v1/token", serves=(serve,),
            outputs=(Output(str(folder / ".kept"), "kept", 0o600),),
        )  # fmt: skip
        self.pod.files.put_plan(Recipe(BINDING))
        self.server = Server([listener], self.pod.clock)
        self.server.start(self.pod.exchanger.routes())

    def put(self, seconds: float) -> str:
        """A token that lives so long."""
        made = token(exp=int(self.pod.clock.now + seconds))
        self.pod.files.put_token(made, BINDING)
        return made

    @property
    def held(self) -> str:
        """What the endpoint would give."""
        (route,) = next(iter(self.pod.exchanger.routes().values()))
        served = route.held()
        return served.credential.values["token"] if served.credential is not None else served.why[0]

    @property
    def state(self) -> str:
        return self.pod.exchanger.standings()[0].state


@pytest.fixture
def following(tmp_path: Path) -> Iterator[Following]:
    made = Following(tmp_path)
    yield made
    made.server.close()


def test_the_kubelets_next_token_is_served_at_once_and_nobody_is_asked(following: Following) -> None:
    first = following.put(3600)
    following.pod.tick()
    assert (following.held, following.state) == (first, "fresh")
    following.pod.run(1000)
    second = following.put(3600)
    following.pod.tick(1)
    assert following.held == second
    assert following.pod.forms == []
    assert following.pod.log.reasons().count("Exchanged") == 2


def test_a_token_that_the_kubelet_does_not_replace_is_overdue_then_expired_and_is_not_taken_again(
    following: Following,
) -> None:
    following.put(3600)
    states = [following.state for _ in range(3700) if following.pod.tick(1) == 0]
    assert list(dict.fromkeys(states)) == ["fresh", "overdue", "expired"]
    assert states.index("overdue") >= 0.8 * 3600, "the kubelet's own time for it has passed"
    assert following.pod.log.reasons().count("Exchanged") == 1
    last = following.put(3600)
    following.pod.tick(1)
    assert (following.held, following.state) == (last, "fresh")


def test_a_token_without_an_end_is_not_served(following: Following) -> None:
    following.pod.files.put_token(token(), BINDING)
    following.pod.tick()
    assert following.held == "NotReady"
    assert following.pod.log.reasons() == ["TokenUnreadable"]


def test_a_token_that_outlives_the_admission_is_not_served(following: Following) -> None:
    following.put(90000)
    following.pod.tick()
    assert following.held == "NotReady"


def test_a_restart_goes_on_with_the_same_secret(following: Following) -> None:
    first = following.put(3600)
    following.pod.tick()
    path = Path(following.pod.files.credentials / BINDING / "credentials.json")
    before = path.read_text()
    following.pod.restart()
    following.pod.tick(1)
    assert following.held == first
    assert path.read_text() == before
    assert path.stat().st_mode & 0o777 == 0o600
