"""What a platform team's pipeline does at the parties, and what is there before anybody is let in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from apostille_testbed import Node
from apostille_testbed.node import everybody
from apostille_testbed.node.everybody import Parties
from node.every_mode.declarations import subjects
from node.every_mode.programs.values import (
    APPLICATION,
    BUCKET,
    CLIENT,
    EMAIL,
    KEYCLOAK,
    MOUNT,
    OBJECT,
    PASSWORD,
    REALM,
    SUBSCRIPTION,
)
from node.every_mode.rows import LIVES
from node.scene import until

LIFE = 45
"""Seconds that the credentials of the pod that lives are for, where that can be had."""


def prepare(parties: Parties) -> None:
    """What is there at the parties before anybody is let in."""
    parties["entra"].permit(CLIENT, SUBSCRIPTION)
    parties["google"].create_bucket(BUCKET, [OBJECT], [f"serviceAccount:{EMAIL}"])
    parties["databricks"].policies.add_principal(70, APPLICATION)
    parties["minio"].create_bucket(BUCKET, {OBJECT: b"balance"})
    parties["vault"].write_secret("payments", {"password": PASSWORD})
    parties["vault"].write_policy("reader", 'path "secret/data/payments" { capabilities = ["read"] }')


def apply_rendered(node: Node, parties: Parties, kind: str, besides: Mapping[str, str] | None = None) -> None:
    """Waits until the documents for a party name everybody who is bound there, and applies them, and those ``besides``
    that have another name.
    """
    files: dict[str, str] = {}

    def rendered() -> bool:
        files.clear()
        files.update(everybody.rendered(node, kind.lower()))
        return all(json.dumps(subject)[1:-1] in json.dumps(files) for subject in subjects(kind))

    until(rendered, f"the documents for {kind}", within=180.0)
    _APPLY[kind](parties, {**(besides or {}), **files})


def _changed(files: Mapping[str, str], prefix: str, change: Callable[[dict[str, Any]], Any]) -> dict[str, str]:
    made = dict(files)
    for name in files:
        if name.startswith(prefix):
            document = json.loads(files[name])
            change(document)
            made[name] = json.dumps(document)
    return made


def _at_keycloak(parties: Parties, files: Mapping[str, str]) -> None:
    short = {"access.token.lifespan": str(LIFE)}
    changed = _changed(files, f"client-{LIVES}", lambda document: document["attributes"].update(short))
    parties["keycloak"].apply(REALM, changed, address=KEYCLOAK)


def _at_vault(parties: Parties, files: Mapping[str, str]) -> None:
    short = {"token_ttl": LIFE}
    parties["vault"].apply(MOUNT, _changed(files, f"role-{LIVES}", lambda document: document.update(short)))


_APPLY: Mapping[str, Callable[[Parties, Mapping[str, str]], None]] = {
    "Alibaba": lambda parties, files: parties["alibaba"].ram.load(files),
    "AWS": lambda parties, files: parties["aws"].iam.load_files(files, source="aws"),
    "Azure": lambda parties, files: parties["entra"].directory.apply(files),
    "Databricks": lambda parties, files: parties["databricks"].policies.load(files),
    "GCP": lambda parties, files: parties["google"].pools.apply(files),
    "HCP": lambda parties, files: parties["hcp"].providers.load(files),
    "Keycloak": _at_keycloak,
    "MinIO": lambda parties, files: parties["minio"].apply(files),
    "OAuth": lambda parties, files: parties["hydra"].apply(files),
    "Snowflake": lambda parties, files: parties["snowflake"].account.load(files),
    "Vault": _at_vault,
}
"""By the kind of the relying party. Short lives are the administrators' wish."""
