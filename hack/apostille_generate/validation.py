"""``docs/reference/validation.md``: what judges each rendered form of each relying party in the tests."""

from __future__ import annotations

import json
import re
from pathlib import Path

from apostille.parties.party import FORMATS
from apostille.parties.registry import PARTIES
from apostille_generate.markdown import NOTE, table

PAGE = "docs/reference/validation.md"
_FORMS = {"native": "Documents", "cli": "Commands", "terraform": "Terraform"}

# Words in braces are versions: a package of the locked environment, or a file of tests/parties/schemas.
_JUDGED: dict[str, dict[str, str]] = {
    "Alibaba": {
        "native": "a strict STS",
        "cli": "a shell, which divides it and runs nothing: `aliyun` is in no registry",
        "terraform": "{terraform/alicloud}",
    },
    "AWS": {
        "native": "botocore's model of IAM ({botocore}); moto's grammar of trust policies ({moto}); a strict STS",
        "cli": "botocore's models, from which `aws` makes its options ({botocore})",
        "terraform": "{terraform/aws}",
    },
    "Azure": {
        "native": "models of {vendors/azure-msi} and {vendors/microsoft-graph}; a strict Entra",
        "cli": "arguments of {vendors/azure-cli}",
        "terraform": "{terraform/azurerm}, {terraform/azuread}",
    },
    "Databricks": {
        "native": "classes of databricks-sdk ({databricks-sdk}); a strict judge",
        "cli": "bodies by databricks-sdk; the CLI itself is in no registry",
        "terraform": "{terraform/databricks}",
    },
    "GCP": {
        "native": "Google's discovery document of IAM ({vendors/google-iam}); a strict Security Token Service",
        "cli": "options of {vendors/gcloud}, which is in no registry: read where it is installed",
        "terraform": "{terraform/google}",
    },
    "HCP": {
        "native": "models of HCP's SDK for Go, which read strictly; statements by HashiCorp's go-bexpr; a strict judge",
        "cli": "a shell, which divides it and runs nothing: `hcp` is in no registry",
        "terraform": "{terraform/hcp}",
    },
    "Keycloak": {
        "native": "a real Keycloak",
        "cli": "`kcadm.sh` at a real Keycloak",
        "terraform": "{terraform/keycloak}",
    },
    "MinIO": {
        "native": "a real MinIO",
        "cli": "`mc` at a real MinIO",
        "terraform": "{terraform/minio}, {terraform/random}; `minio_iam_idp_openid` by its documentation",
    },
    "OAuth": {
        "native": "a real Ory Hydra; strict judges of Anthropic's, OpenAI's and Kernel's rules, which publish none",
        "cli": "`curl` at a real Ory Hydra; the other services have none",
        "terraform": "no provider has these resources, and nothing is rendered",
    },
    "Snowflake": {
        "native": "the connector's splitter of statements ({snowflake-connector-python}); a strict judge runs them. "
        "No parser in a registry has this grammar: sqlglot 30 takes it for an opaque command",
        "cli": "the same statements; `snow` itself is not run",
        "terraform": "{terraform/snowflake}",
    },
    "Vault": {
        "native": "a real Vault, a real OpenBao",
        "cli": "`vault` at a real Vault, `bao` at a real OpenBao",
        "terraform": "{terraform/vault}",
    },
}  # fmt: skip


def files(root: Path) -> dict[str, str]:
    """Path to text. Raises KeyError for a party or a form about which nothing is said."""
    locked: dict[str, str] = dict(
        re.findall(r"^([a-z0-9-]+)==([^ \\]+)", (root / "locks" / "dev.txt").read_text(), re.MULTILINE)
    )

    def version(match: re.Match[str]) -> str:
        folder, _, name = match[1].rpartition("/")
        if not folder:
            return locked[name]
        told: dict[str, str] = json.loads(
            (root / "tests" / "parties" / "schemas" / folder / f"{name}.json").read_text()
        )
        known = f"{told['provider']} {told.get('version', '')}".strip() if "provider" in told else told["from"]
        return known if "provider" not in told or "version" in told else f"{known} (by {told['from']})"

    rows = [
        (f"[`{party.name}`](../parties/{party.member}.md)",
         *(re.sub(r"\{([^}]+)\}", version, _JUDGED[party.name][form]) for form in FORMATS))
        for party in PARTIES
    ]  # fmt: skip
    head = ("Party", *(_FORMS[form] for form in FORMATS))
    return {
        PAGE: f"{NOTE}# What judges the rendered forms\n\n"
        "Every golden case of every form is held to what is named here. Terraform: the schema that the provider says\n"
        "of itself, in the version named, from its bindings on PyPI (`hack/testbed schemas terraform`): names, types,\n"
        "what is required, blocks, references. Vendors: what they publish of their APIs and commands\n"
        "(`hack/testbed schemas vendors`).\n\n" + table(head, rows)
    }
