"""Google's documents by themselves, as people keep them in repositories: credential files and IAM policies (§4.5)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from apostille.model.finding import Finding
from apostille.parties.gcp import rules

_CREDENTIAL = "external_account"
_SHARED = "googleapis.com"  # the universe of everybody who names none
_UNIVERSE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
# Where a client sends what it has, by field: the one service that is to get it.
_SERVICES = {"token_url": "sts", "service_account_impersonation_url": "iamcredentials"}


def findings(document: Any) -> Iterator[Finding]:
    """GCP-CRED-URL of a credential file, and what is said of members of an IAM policy; nothing of anything else."""
    if not isinstance(document, Mapping):
        return
    if document.get("type") == _CREDENTIAL:
        yield from _credential(document)
    elif isinstance(document.get("bindings"), list):
        yield from rules.policy(document, "", {})


def _credential(document: Mapping[str, Any]) -> Iterator[Finding]:
    universe = str(document.get("universe_domain") or _SHARED)
    if not _UNIVERSE.fullmatch(universe):
        yield rules.CRED_URL.at("universe_domain", f"{universe!r} is no domain")
        return
    for field, service in _SERVICES.items():
        if (url := document.get(field)) is not None and not _is_google(str(url), f"{service}.{universe}"):
            yield rules.CRED_URL.at(field, f"{url} is not https://{service}.{universe}")
    source = document.get("credential_source")
    for kind in ("executable", "url"):
        if isinstance(source, Mapping) and kind in source:
            yield rules.CRED_URL.at(f"credential_source.{kind}", f"the token comes from {kind}, which the file chooses")


def _is_google(url: str, host: str) -> bool:
    # Also under regional names: sts.europe-west1.rep.googleapis.com, sts.mtls.googleapis.com.
    service, _, universe = host.partition(".")
    known = rf"https://{service}\.([a-z0-9-]+\.)?((rep|mtls)\.)?{re.escape(universe)}(:443)?(/[^\\]*)?"
    return re.fullmatch(known, url) is not None
