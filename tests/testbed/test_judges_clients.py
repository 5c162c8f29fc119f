"""Unmodified SDKs at the judges, with tokens of a real API server and documents as Apostille renders them."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from apostille.core.pod_plan import pod_plan
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.identity import Issuer
from apostille_exchange import transport
from apostille_exchange.recipe import Admission, Recipe
from apostille_testbed import ControlPlane, party
from apostille_testbed.pods.volumes import File, write
from exchange.scene import Pod
from vendors import (
    APPLICATIONS,
    databricks_binding,
    databricks_trust,
    hcp_binding,
    hcp_trust,
    snowflake_binding,
    snowflake_trust,
)

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("bexpr")]

DATABRICKS = "from databricks.sdk import WorkspaceClient\nprint(WorkspaceClient().current_user.me().user_name)"
SNOWFLAKE = (
    "import snowflake.connector\n"
    "print(*snowflake.connector.connect().cursor().execute('select current_user()').fetchone())"
)


@dataclass(frozen=True)
class World:
    """A party with a real cluster's issuer; service account `reader` of ``namespace`` is bound."""

    plane: ControlPlane
    namespace: str
    party: Any
    trust: FederationTrust
    binding: WorkloadBinding
    directory: Path

    @property
    def issuer(self) -> Issuer:
        return Issuer(self.plane.issuer)

    def documents(self) -> Mapping[str, str]:
        """What the controller would render."""
        of = self.trust.party
        return of.render(of.access(self.trust.view, [self.binding.view(of)], self.issuer), "native")

    def token(self, account: str = "reader", audience: str = "") -> str:
        """A token of the API server for the trust's audience."""
        return self.plane.token(self.namespace, account, [audience or self.trust.audience], 600)

    def container(self, token: str) -> dict[str, str]:
        """What the binding's container has: files under a folder of the test, and environment that names them."""
        plan = pod_plan(self.trust, self.binding)
        tokens, files = self.directory / "tokens", self.directory / "files"
        write(tokens, {"token": File(token.encode(), 0o644)})
        write(files, {name: File(self._here(text).encode(), 0o644) for name, text in plan.files.items()})
        own = {name: self._here(value) for name, value in plan.frozen.environment.items()}
        ca = {"SSL_CERT_FILE": str(self.party.ca), "REQUESTS_CA_BUNDLE": str(self.party.ca)}
        return {"PATH": os.environ["PATH"], "HOME": str(self.directory), **ca, **own}

    def run(self, program: str, token: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs a container's program to its end."""
        return subprocess.run(
            [sys.executable, "-c", program], env=self.container(token) | environment, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip

    def _here(self, text: str) -> str:
        name = self.binding.name
        here = text.replace(f"/var/run/secrets/apostille.dev/{name}", str(self.directory / "tokens"))
        return here.replace(f"/etc/apostille.dev/{name}", str(self.directory / "files"))


@pytest.fixture
def world(
    request: pytest.FixtureRequest, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> Iterator[World]:
    """The party that the test names, loaded with rendered documents."""
    for account in ("reader", "stranger"):
        control_plane.client.request(
            "POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": account}}
        )
    with party(request.param, directory=tmp_path) as running:
        declared = {
            "databricks": (databricks_trust, databricks_binding, "policies"),
            "hcp": (hcp_trust, hcp_binding, "providers"),
            "snowflake": (snowflake_trust, snowflake_binding, "account"),
        }
        trust, binding, state = declared[request.param]
        running.resolve(control_plane.issuer, control_plane.url, control_plane.ca)
        if request.param == "databricks":
            running.policies.add_principal(70, APPLICATIONS[0])
        made = World(control_plane, namespace, running, trust(), binding(namespace=namespace), tmp_path)
        getattr(running, state).load(made.documents())
        yield made


def of(name: str) -> Any:
    return pytest.mark.parametrize("world", [name], indirect=True)


@of("databricks")
def test_databricks_sdk_finds_its_service_principal(world: World) -> None:
    here = {"DATABRICKS_HOST": world.party.url}
    done = world.run(DATABRICKS, world.token(), **here)
    assert done.stdout.strip() == APPLICATIONS[0], done.stderr
    # What a static credential beside it does: nothing, as the environment names the way.
    beside = world.run(DATABRICKS, world.token(), **here, DATABRICKS_TOKEN="dapi-static", DATABRICKS_CLIENT_SECRET="x")
    assert beside.stdout.strip() == APPLICATIONS[0], beside.stderr
    assert {one.code for one in world.party.exchanges} == {"OK"}
    for wrong in (world.token("stranger"), world.token(audience="https://other.example")):
        refused = world.run(DATABRICKS, wrong, **here)
        assert refused.returncode != 0
        assert "invalid_grant" in refused.stderr
        assert wrong not in refused.stdout + refused.stderr


@of("snowflake")
def test_snowflake_connector_logs_in_from_its_connections_file(world: World) -> None:
    # The judge listens on another host and port than the vendor's; the file says neither.
    here = {"SNOWFLAKE_WIF_ALLOWED_HOST_SUFFIXES": "127.0.0.1"}
    at = f", host='127.0.0.1', port={world.party.port}"
    program = SNOWFLAKE.replace("connect()", f"connect(connection_name='default'{at})")
    done = world.run(program, world.token(), **here)
    assert done.stdout.strip() == "PAYMENTS_READER", done.stderr
    for wrong in (world.token("stranger"), world.token(audience="snowflakecomputing.com")):
        refused = world.run(program, wrong, **here)
        assert refused.returncode != 0
        assert "JWT token is invalid" in refused.stderr
        assert wrong not in refused.stdout + refused.stderr


@pytest.mark.parametrize("world", ["databricks", "hcp"], indirect=True)
def test_the_sidecar_keeps_a_token_that_the_party_takes(world: World) -> None:
    bind = databricks_binding if world.trust.party.name == "Databricks" else hcp_binding
    declared = bind(namespace=world.namespace, delivery={"mode": "Sidecar"})
    plan = pod_plan(world.trust, declared)
    admission, recipe = plan.frozen.admission, plan.live.recipe
    assert admission is not None
    assert recipe is not None
    pod = _sidecar(world, admission, recipe)
    pod.files.put_token(world.token(), declared.name)
    pod.tick()
    token = pod.content(declared.name)
    assert pod.log.reasons() == ["Exchanged"]
    assert _takes(world, token)
    for wrong in (world.token("stranger"), world.token(audience="https://other.example")):
        refused = _sidecar(world, admission, recipe, "refused")
        refused.files.put_token(wrong, declared.name)
        refused.tick()
        assert refused.content(declared.name) == ""
        assert refused.log.reasons()[-1] in ("AudienceMismatch", "ConditionRejected", "WrongAudience")
        assert wrong not in json.dumps(refused.log.lines)


def _sidecar(world: World, admission: Admission, recipe: Recipe, name: str = "pod") -> Pod:
    """A pod whose sidecar sends to the judge what it would send to the vendor."""
    directory = world.directory / f"{name}-{os.urandom(3).hex()}"
    directory.mkdir()
    path = admission.endpoint.removeprefix("https://").partition("/")[2]
    pod = Pod(
        directory, admission.binding, post=transport.post, grant=admission.grant, audience=admission.audience,
        endpoint=f"{world.party.url}/{path}", ca=str(world.party.ca), session_seconds=3600,
        outputs=tuple(type(one)(str(directory / "run" / admission.binding / "credentials"), one.format)
                      for one in admission.outputs),
    )  # fmt: skip
    pod.files.put_plan(recipe)
    return pod


def _takes(world: World, token: str) -> bool:
    path = {"databricks": "/api/2.0/preview/scim/v2/Me", "hcp": "/iam/2019-12-10/caller-identity"}
    context = ssl.create_default_context(cafile=str(world.party.ca))
    connection = http.client.HTTPSConnection("127.0.0.1", world.party.port, timeout=20, context=context)
    try:
        connection.request("GET", path[world.trust.party.member], headers={"Authorization": f"Bearer {token}"})
        with connection.getresponse() as response:
            return response.status == 200
    finally:
        connection.close()
