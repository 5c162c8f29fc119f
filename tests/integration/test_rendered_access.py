"""What the controller writes for the relying party beyond its native documents: instances, forms, limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from apostille.parties.shell import FILE as SCRIPT
from apostille.parties.terraform import FILE as CONFIGURATION
from integration.cluster import Cluster, Team, role
from integration.plain_client import service_account, until

pytestmark = pytest.mark.integration
EXAMPLES = Path(__file__).parents[2] / "examples"


def access(team: Team, trust: str = "") -> dict[str, str]:
    """The data of the trust's ConfigMap; empty before there is one."""
    path = f"/api/v1/namespaces/apostille-system/configmaps/apostille-access-{trust or team.ns}"
    answer = team.api.request("GET", path)
    return dict(answer.body["data"]) if answer.ok else {}


def test_instances_are_pinned_and_a_service_account_made_anew_is_another(cluster: Cluster) -> None:
    with cluster.team() as team:
        vault = {"address": "https://vault.example", "pinInstances": True}
        trust = team.trust(
            relyingParty={"type": "Vault", "vault": vault},
            allow=[team.allow("reader", "latecomer", targets=["payments-reader"])],
        )
        binding = team.binding(
            subject={"serviceAccountNames": ["reader", "latecomer"]}, target={"vault": {"role": "payments-reader"}}
        )
        team.declare(trust, binding)

        def claims() -> Any:
            return json.loads(access(team).get("role-payments-reader.json", "{}")).get("bound_claims")

        def uid(name: str) -> str:
            return str(team.get(service_account(team.ns, name))["metadata"]["uid"])

        first = uid("reader")
        pin = "/kubernetes.io/serviceaccount/uid"
        until(lambda: claims() == {pin: [first]}, "the one that exists is let in")
        until(
            lambda: (
                f"do not exist and the trust pins instances: {team.ns}/latecomer"
                in team.condition(trust, "Configured")[2]
            ),
            "the other is named",
        )

        team.api.ensure(service_account(team.ns, "latecomer"))
        subjects = sorted(f"system:serviceaccount:{team.ns}:{name}" for name in ("latecomer", "reader"))
        until(lambda: claims() == {"sub": subjects, pin: sorted([first, uid("latecomer")])}, "it is let in once it is")
        team.api.delete(service_account(team.ns, "reader"))
        team.api.ensure(service_account(team.ns, "reader"))
        assert uid("reader") != first
        until(
            lambda: claims()[pin] == sorted([uid("reader"), uid("latecomer")]), "the one that was made anew is another"
        )


def test_forms_and_limits_are_as_the_trust_asks(cluster: Cluster) -> None:
    with cluster.team() as team:
        trust = team.trust(configuration={"formats": ["CLI", "Terraform"]})
        team.declare(trust, team.binding())
        until(lambda: set(access(team)) == {SCRIPT, CONFIGURATION}, "both are written, and nothing else")
        subject = f"system:serviceaccount:{team.ns}:reader"
        until(lambda: all(subject in text for text in access(team).values()), "with the binding")

        def limits() -> Any:
            return team.get(trust).get("status", {}).get("limits")

        until(lambda: bool(limits()), "the limits are counted")
        (limit,) = limits()
        assert (limit["name"], limit["of"], limit["limit"]) == ("characters of trust policy", role(), 2048)
        assert subject in access(team)[SCRIPT]
        assert 0 < limit["used"] < 2048
        assert "binding" not in limit

        assert team.change(trust, configuration={"formats": ["Native"]}).ok
        until(lambda: "oidc-provider.json" in access(team) and SCRIPT not in access(team), "and follow the trust")


def test_the_binding_that_goes_over_a_limit_is_named_and_the_last_good_documents_stay(cluster: Cluster) -> None:
    with cluster.team() as team:
        many = [f"account-{number:03}" for number in range(60)]
        trust = team.trust(allow=[team.allow("reader", *many)])
        team.declare(trust, team.binding())
        until(lambda: len(access(team)) == 2, "the first binding is rendered")
        before = access(team)
        team.declare(team.binding("a-crowd", subject={"serviceAccountNames": many}))
        message = team.until_ready(trust, "RenderFailed")
        assert message.startswith("spec.allow: ")
        assert f"WorkloadBinding {team.ns}/a-crowd goes over it" in message
        assert "Spread the service accounts over several roles" in message
        (limit,) = team.get(trust)["status"]["limits"]
        assert limit["used"] > limit["limit"] == 2048
        assert limit["binding"] == f"{team.ns}/a-crowd"
        assert access(team) == before


@pytest.mark.parametrize(
    ("example", "environment", "documents"),
    [
        ("gcp", {"GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"}, {"pool.json", "provider.json"}),
        ("azure", {"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST"}, set()),
    ],
)
def test_the_examples_of_the_clouds_work_as_written(
    cluster: Cluster, example: str, environment: set[str], documents: set[str]
) -> None:
    with cluster.team() as team:
        trust, binding, pod = (
            yaml.safe_load((EXAMPLES / example / file).read_text())
            for file in ("10-trust.yaml", "20-binding.yaml", "30-pod.yaml")
        )
        # Under names of the team's own, since other tests share the cluster.
        trust["metadata"]["name"] = binding["spec"]["trustRef"]["name"] = team.ns
        trust["spec"]["audience"] = f"https://{team.ns}.sts.example"
        trust["spec"]["allow"][0]["namespace"] = team.ns
        for document in (binding, pod):
            document["metadata"]["namespace"] = team.ns
        team.declare(trust, binding)
        team.in_force()
        subject = f"system:serviceaccount:{team.ns}:reader"
        until(lambda: subject in access(team).get(SCRIPT, ""), "the binding is rendered")
        assert documents <= set(access(team))
        (stored,) = team.declare(pod)
        given = {variable["name"] for variable in stored["spec"]["containers"][0]["env"]}
        assert environment <= given
        assert team.get(trust)["status"]["limits"]
