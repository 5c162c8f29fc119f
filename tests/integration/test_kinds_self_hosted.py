"""What the API server itself refuses of Vault and MinIO: by schema, with no process of ours alive."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from self_hosted import LEDGER

pytestmark = pytest.mark.integration
CRDS = Path(__file__).parents[2] / "crds"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def kinds(control_plane: Any) -> Any:
    """The control plane with both kinds established, and a namespace."""
    control_plane.kubectl("apply", "-f", str(CRDS))
    for plural in ("federationtrusts", "workloadbindings"):
        control_plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", f"crd/{plural}.apostille.dev")
    return control_plane


def trust(kind: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apostille.dev/v1alpha1",
        "kind": "FederationTrust",
        "metadata": {"name": f"self-hosted-{secrets.token_hex(3)}"},
        "spec": {"relyingParty": {"type": kind, kind.lower(): settings}},
    }


def vault(**changes: Any) -> dict[str, Any]:
    return trust("Vault", {"address": "https://vault.example", **changes})


def minio(**changes: Any) -> dict[str, Any]:
    return trust("MinIO", {"endpoint": "https://minio.example", "policies": LEDGER, **changes})


def binding(target: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apostille.dev/v1alpha1",
        "kind": "WorkloadBinding",
        "metadata": {"name": f"b-{secrets.token_hex(3)}", "namespace": "default"},
        "spec": {"trustRef": {"name": "t"}, "subject": {"serviceAccountNames": ["a"]}, "target": target},
    }


def with_party(document: dict[str, Any], **members: Any) -> dict[str, Any]:
    document["spec"]["relyingParty"] |= members
    return document


def policy(name: str = "a", action: str = "s3:GetObject", resource: str = "arn:aws:s3:::b/*") -> dict[str, Any]:
    return {"policies": [{"name": name, "statements": [{"actions": [action], "resources": [resource]}]}]}


def created(kinds: Any, document: dict[str, Any]) -> Any:
    return kinds.kubectl("create", "--dry-run=server", "-o", "json", "-f", "-", input=json.dumps(document), check=False)


def test_defaults_are_shown(kinds: Any) -> None:
    shown = json.loads(created(kinds, vault()).stdout)["spec"]["relyingParty"]["vault"]
    assert shown == {
        "address": "https://vault.example",
        "caBundle": "",
        "namespace": "",
        "mount": "jwt",
        "roles": [],
    }
    shown = json.loads(created(kinds, minio()).stdout)["spec"]["relyingParty"]["minio"]
    assert (shown["mode"], shown["region"], shown["caBundle"]) == ("Claim", "", "")


@pytest.mark.parametrize(
    "document",
    [
        vault(namespace="team/payments", mount="jwt/cluster-a", roles=[{"name": "a", "policies": ["p"]}]),
        vault(caBundle="x" * 16384),
        minio(mode="Role", region="eu-1", **policy("a" * 64)),
        binding({"vault": {"role": "a.b_c-1"}}),
        binding({"minio": {"policy": "Ledger.Reader_1"}}),
    ],
)
def test_what_is_taken(kinds: Any, document: dict[str, Any]) -> None:
    done = created(kinds, document)
    assert done.returncode == 0, done.stderr


VAULT, MINIO = "spec.relyingParty.vault", "spec.relyingParty.minio"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (vault(addres="x"), 'unknown field "spec.relyingParty.vault.addres"'),
        (trust("Vault", {}), f"{VAULT}.address: Required value"),
        (vault(address=""), f"{VAULT}.address"),
        (vault(caBundle="x" * 16385), f"{VAULT}.caBundle: Too long"),
        (vault(mount="a/../b"), f"{VAULT}.mount"),
        (vault(mount="/a"), f"{VAULT}.mount"),
        (vault(mount=""), f"{VAULT}.mount"),
        (vault(namespace="a//b"), f"{VAULT}.namespace"),
        (vault(namespace="..", ), f"{VAULT}.namespace"),
        (vault(roles=[{"name": "A", "policies": ["p"]}]), f"{VAULT}.roles[0].name"),
        (vault(roles=[{"name": "a", "policies": []}]), f"{VAULT}.roles[0].policies"),
        (vault(roles=[{"name": "a"}]), f"{VAULT}.roles[0].policies: Required value"),
        (with_party(vault(), aws={"accountID": "1" * 12, "region": "eu-west-1"}), "aws is required when type is AWS"),
        (with_party(vault(), type="MinIO"), "minio is required when type is MinIO"),
        (with_party(vault(), type="OpenBao"), "spec.relyingParty.type: Unsupported value"),
        (minio(policies=[]), f"{MINIO}.policies"),
        (minio(mode="Any"), f"{MINIO}.mode: Unsupported value"),
        (minio(**policy("a/b")), f"{MINIO}.policies[0].name"),
        (minio(**policy(action="admin:*")), f"{MINIO}.policies[0].statements[0].actions[0]"),
        (minio(**policy(action="*")), f"{MINIO}.policies[0].statements[0].actions[0]"),
        (minio(**policy(action="sts:AssumeRole")), f"{MINIO}.policies[0].statements[0].actions[0]"),
        (minio(**policy(resource="*")), f"{MINIO}.policies[0].statements[0].resources[0]"),
        (binding({"vault": {"role": "A"}}), "spec.target.vault.role"),
        (binding({"vault": {"role": "a/b"}}), "spec.target.vault.role"),
        (binding({"minio": {"policy": ""}}), "spec.target.minio.policy"),
        (binding({"vault": {"role": "a"}, "minio": {"policy": "a"}}), "name exactly one target"),
        (binding({}), "name exactly one target"),
    ],
)  # fmt: skip
def test_what_is_refused_and_where(kinds: Any, document: dict[str, Any], words: str) -> None:
    done = created(kinds, document)
    assert done.returncode != 0
    assert words in done.stderr


@pytest.mark.parametrize(
    "kind",
    [
        "federationtrust.spec.relyingParty.vault",
        "federationtrust.spec.relyingParty.minio.policies",
        "workloadbinding.spec.target.vault",
    ],
)
def test_explain_reads_like_a_documentation(kinds: Any, kind: str) -> None:
    text = kinds.kubectl("explain", kind).stdout
    assert "<no description>" not in text
