"""Databricks, HCP and Snowflake under their own names, from injected pods: unmodified SDKs, and the sidecar's files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonpatch
import pytest

import builders
from apostille.core.inject import inject
from apostille.core.pod_plan import pod_plan
from apostille.core.settings import InjectionSettings
from apostille.model.identity import Issuer
from apostille_testbed import ControlPlane, party
from apostille_testbed.parties.programs import SOURCES, program
from apostille_testbed.pods import PodRunner, Route
from apostille_testbed.pods.images import EXCHANGE, Image, exchange_image
from testbed.pod_runner_scene import Scene, scene
from vendors import (
    APPLICATIONS,
    HOST,
    PROJECT,
    databricks_binding,
    databricks_trust,
    hcp_binding,
    hcp_trust,
    snowflake_binding,
    snowflake_trust,
)

pytestmark = [
    pytest.mark.integration, pytest.mark.e2e, pytest.mark.usefixtures("isolation"), pytest.mark.xdist_group("bexpr"),
]  # fmt: skip

_ASK = """
import os, sys, urllib.request
token = open(os.environ[sys.argv[1]]).read()
request = urllib.request.Request(sys.argv[2], headers={"Authorization": "Bearer " + token})
print(urllib.request.urlopen(request).status)
"""
_DATABRICKS = "from databricks.sdk import WorkspaceClient; print(WorkspaceClient().current_user.me().user_name)"
_SNOWFLAKE = "import snowflake.connector as s; print(*s.connect().cursor().execute('select current_user()').fetchone())"

# Party, mode → the application's program, and what it prints.
CASES: dict[tuple[str, str], tuple[list[str], str]] = {
    ("databricks", "Auto"): (["python", "-c", _DATABRICKS], APPLICATIONS[0]),
    ("databricks", "Sidecar"): (
        ["python", "-c", _ASK, "DATABRICKS_TOKEN_FILE", f"{HOST}/api/2.0/preview/scim/v2/Me"],
        "200",
    ),
    # The SDK for Go, from its module; `program` builds it.
    ("hcp", "Auto"): (
        ["hcp-caller"],
        f"iam/project/{PROJECT}/service-principal/payments-reader",
    ),
    ("hcp", "Sidecar"): (
        ["python", "-c", _ASK, "HCP_TOKEN_FILE", "https://api.cloud.hashicorp.com/iam/2019-12-10/caller-identity"],
        "200",
    ),
    ("hcp", "Init"): (
        ["python", "-c", _ASK, "HCP_TOKEN_FILE", "https://api.cloud.hashicorp.com/iam/2019-12-10/caller-identity"],
        "200",
    ),
    ("snowflake", "Auto"): (["python", "-c", _SNOWFLAKE], "PAYMENTS_READER"),
}
_DECLARED: dict[str, tuple[Any, Any, str]] = {
    "databricks": (databricks_trust, databricks_binding, "policies"),
    "hcp": (hcp_trust, hcp_binding, "providers"),
    "snowflake": (snowflake_trust, snowflake_binding, "account"),
}


@dataclass(frozen=True)
class World:
    scene: Scene
    runner: PodRunner
    party: Any


@pytest.fixture
def world(
    request: pytest.FixtureRequest, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> Iterator[World]:
    with ExitStack() as stack:
        server: Any = stack.enter_context(party(request.param))
        server.resolve(control_plane.issuer, control_plane.url, control_plane.ca)
        at = stack.enter_context(scene(control_plane, namespace, tmp_path / "node"))
        trusting = {"SSL_CERT_FILE": str(server.ca), "REQUESTS_CA_BUNDLE": str(server.ca)}
        images = {EXCHANGE: exchange_image(server.ca), "*": Image(cmd=("python",), env=trusting)}
        yield World(at, stack.enter_context(at.runner(images=images, routes=[Route.to_party(server)])), server)


@pytest.mark.parametrize(("world", "mode"), CASES, indirect=["world"])
def test_a_pod_uses_what_it_was_given(world: World, mode: str, request: pytest.FixtureRequest) -> None:
    name = request.node.callspec.params["world"]
    command, expected = CASES[name, mode]
    command = [str(program(command[0])), *command[1:]] if command[0] in SOURCES else command
    make_trust, bind, state = _DECLARED[name]
    trust, namespace = make_trust(), world.scene.namespace
    declared = bind(namespace=namespace, delivery={"mode": mode})
    if name == "databricks":
        world.party.policies.add_principal(70, APPLICATIONS[0])
    issuer = Issuer(world.scene.control_plane.issuer)
    access = trust.party.access(trust.view, [declared.view(trust.party)], issuer)
    getattr(world.party, state).load(trust.party.render(access, "native"))
    raw = builders.pod(
        {"name": "app", "image": "example.com/app:1", "command": command}, restartPolicy="Never",
        automountServiceAccountToken=False,
    )  # fmt: skip
    raw["metadata"] = {"name": "app", "namespace": namespace}
    made = inject(raw, [pod_plan(trust, declared)], InjectionSettings())
    assert not made.denial
    world.scene.create(jsonpatch.apply_patch(raw, [dict(operation) for operation in made.operations]))
    done = world.runner.wait(
        namespace, "app", lambda pod: (pod or {}).get("status", {}).get("phase") in ("Succeeded", "Failed")
    )
    log = world.runner.logs(namespace, "app", "app")
    assert done is not None
    assert done["status"]["phase"] == "Succeeded", log
    assert log.splitlines()[-1] == expected
