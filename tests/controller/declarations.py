"""Raw objects of the two kinds and pods, with versions, as an API server hands them out."""

from __future__ import annotations

from typing import Any

from apostille.core.settings import ClusterSettings
from apostille.model.identity import Issuer

Raw = dict[str, Any]
OWN = "apostille-system"
ISSUER = Issuer("https://issuer.example", ("k1",), ("https://issuer.example",))
SETTINGS = ClusterSettings(own_namespace=OWN, client_config={"url": "https://admission.example"}, ca_bundle="")
ROLE = "arn:aws:iam::123456789012:role/r"


def trust(name: str = "t", *allow: tuple[str, str], version: int = 1, generation: int = 1, **spec: Any) -> Raw:
    """Allows these (namespace, service account) pairs; by default app in namespace ``a``."""
    fields: Raw = {
        "relyingParty": {"type": "AWS", "aws": {"accountID": "123456789012", "region": "eu-west-1"}},
        "audience": f"https://{name}.sts.example",
        "enforcement": {"mode": "Enforce"},
        "allow": [
            {"namespace": namespace, "serviceAccounts": [account], "targets": [ROLE]}
            for namespace, account in allow or [("a", "app")]
        ],
    }
    return _object("FederationTrust", {"name": name}, fields | spec, version, generation)


def binding(
    name: str = "b", of: str = "t", namespace: str = "a", account: str = "app", *, version: int = 1,
    generation: int = 1, **spec: Any,
) -> Raw:  # fmt: skip
    fields: Raw = {
        "trustRef": {"name": of},
        "subject": {"serviceAccountNames": [account]},
        "target": {"aws": {"roleARN": ROLE}},
    }
    return _object("WorkloadBinding", {"name": name, "namespace": namespace}, fields | spec, version, generation)


def pod(namespace: str, name: str, account: str, *audiences: str, plan: str = "") -> Raw:
    """Projects tokens for these audiences; ``plan`` is what Apostille wrote on it."""
    sources = [{"serviceAccountToken": {"path": "token", "audience": audience}} for audience in audiences]
    annotations = {"apostille.dev/plan": plan} if plan else {}
    return {
        "metadata": {"namespace": namespace, "name": name, "annotations": annotations},
        "spec": {
            "serviceAccountName": account,
            "volumes": [{"name": "tokens", "projected": {"sources": sources}}] if sources else [],
        },
    }


def _object(kind: str, metadata: Raw, spec: Raw, version: int, generation: int) -> Raw:
    uid = "/".join([kind, *metadata.values()])
    full = {**metadata, "uid": uid, "generation": generation, "resourceVersion": str(version)}
    return {"apiVersion": "apostille.dev/v1alpha1", "kind": kind, "metadata": full, "spec": spec}
