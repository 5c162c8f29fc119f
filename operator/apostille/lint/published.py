"""What an issuer publishes, in files: discovery documents and key sets, alone or in relying parties' documents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.parties.party import Party
from apostille.parties.registry import uploaded_keys
from apostille.rules import catalogue
from apostille.rules.checks import bare
from apostille.rules.keys import key_set


def alone(document: Any, known: Issuer | None) -> Iterator[Finding]:
    """Rules on a discovery document or a key set; paths are its own fields. Nothing of anything else.

    Whose keys a set has it does not say: it is compared with those of the ``known`` issuer where it shares one of them.
    """
    if not isinstance(document, Mapping):
        return
    keys = document.get("keys")
    if isinstance(keys, list) and keys and all(isinstance(key, Mapping) and "kty" in key for key in keys):
        shared = known is not None and {str(key.get("kid", "")) for key in keys} & set(known.key_ids)
        yield from key_set(document, "", known if shared else None)
    elif isinstance(document.get("issuer"), str) and isinstance(document.get("jwks_uri"), str):
        for field in ("issuer", "jwks_uri"):
            if not document[field].startswith("https://"):
                yield catalogue.ISSUER_HTTP.at(field, f"it is {document[field]!r}")
        yield from spelled(document["issuer"], "issuer", known)


def in_documents(party: Party, access: Any, known: Issuer | None) -> Iterator[Finding]:
    """Keys that the party was given, and issuers that it knows; paths are ``FILE:FIELD``."""
    for path, issuer, text in uploaded_keys(party, access):
        try:
            document = json.loads(text)
        except ValueError:
            continue  # the party's own rules say so
        if isinstance(document, Mapping):
            same = known is not None and issuer == known.url
            yield from key_set(document, path, known if same else None)
    seen: set[str] = set()
    for one in party.acceptances(access):
        if one.file not in seen:
            found = list(spelled(one.issuer, f"{one.file}:", known))
            seen |= {one.file} if found else set()
            yield from found


def spelled(issuer: str, path: str, known: Issuer | None) -> Iterator[Finding]:
    """X-ISSUER-MISMATCH: the cluster's issuer, but not byte for byte."""
    if known is not None and issuer != known.url and bare(issuer) == bare(known.url):
        yield catalogue.ISSUER_MISMATCH.at(
            path, f"{issuer!r} is not {known.url!r}, the cluster's issuer", "Write it byte for byte as tokens carry it"
        )
