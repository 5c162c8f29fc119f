"""What the controller writes for the relying party beyond its native documents: instances, forms, limits."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from apostille.core.pod_plan import pod_plan
from apostille.kinds import decode
from apostille.parties.party import Party
from apostille.parties.registry import PARTIES
from apostille.parties.shell import FILE as SCRIPT
from apostille.parties.terraform import FILE as CONFIGURATION
from integration.cluster import Cluster, Team, role
from integration.plain_client import service_account, until

pytestmark = pytest.mark.integration
Json = dict[str, Any]
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


def example(party: Party, namespace: str) -> tuple[Json, Json, Json]:
    """Trust, binding and pod of a party's example, for a service account of the party's own in this namespace."""
    folder = EXAMPLES / ("quickstart" if party.name == "AWS" else party.member)
    trust, binding, pod = (
        yaml.safe_load((folder / file).read_text()) for file in ("10-trust.yaml", "20-binding.yaml", "30-pod.yaml")
    )
    trust["metadata"]["name"] = binding["spec"]["trustRef"]["name"] = f"{namespace}-{party.member}"
    # Other tests share the cluster, and with it the audiences that are vendors' defaults.
    trust["spec"]["enforcement"] = {"mode": "Audit"}
    trust["spec"]["allow"][0] |= {"namespace": namespace, "serviceAccounts": [party.member]}
    binding["spec"]["subject"] = {"serviceAccountNames": [party.member]}
    binding["metadata"] |= {"namespace": namespace, "name": f"example-{party.member}"}
    pod["metadata"] |= {"namespace": namespace, "name": party.member}
    pod["spec"]["serviceAccountName"] = party.member
    return trust, binding, pod


def test_the_example_of_every_party_works_as_written(cluster: Cluster) -> None:
    """All of them at once: each is accepted, rendered, and its pod has what the party's clients look for."""
    with cluster.team() as team:
        made = {party: example(party, team.ns) for party in PARTIES}
        for party, (trust, binding, _) in made.items():
            team.api.ensure(service_account(team.ns, party.member))
            team.declare(trust, binding)
        team.in_force()
        for party, (trust, binding, pod) in made.items():
            name, written = trust["metadata"]["name"], f"{team.ns}[:/]{party.member}|service_account.*{party.member}"
            until(
                lambda name=name, written=written: re.search(written, str(access(team, name))) is not None,
                f"the binding of {party.name} is rendered",
            )
            (stored,) = team.declare(pod)
            given = {one["name"] for one in stored["spec"]["containers"][0].get("env", ())}
            plan = pod_plan(decode.federation_trust(trust), decode.workload_binding(binding))
            assert set(plan.frozen.environment) <= given, party.name
            assert given, party.name
