"""Asks the documents of a relying party whether strangers get in: the party's own judgement, no patterns (§19).

A stranger is a service account of another namespace than any that documents name: drawn from nowhere, of a declared
name, or what a pattern in the documents stands for; or a declared subject of another cluster's issuer. Of strangers
in a namespace that is named the parties' own rules speak, as of what somebody may have meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from apostille.lint.rules import NOT_ASKED, STRANGERS
from apostille.model.finding import Finding
from apostille.parties.party import Acceptance, Party, Verdict

OTHER_ISSUER = "https://x7f3a.issuer.example"
_NAMESPACE, _NAME, _PART = "x7f3a", "q9", "7f3a"
_WILD = set("*?")
_PREFIX = "system:serviceaccount:"
_SUBJECT = re.compile(r"system:serviceaccount:([a-z0-9*?-]+)(?::([a-z0-9.*?-]+))?")
# A trust of ours has some tens of subjects in a target; what holds for these holds for the others.
_MOST = 50


def findings(party: Party, access: Any, documents: Mapping[str, str]) -> Iterator[Finding]:
    """One for each target that strangers take on, and one where that cannot be said; paths are ``FILE:``."""
    exact, strangers = _subjects("\n".join(documents.values()))
    told: set[tuple[str, str]] = set()
    for one in party.acceptances(access):
        key = (one.file, one.target)
        if key in told:
            continue
        try:
            message = _admitted(party, access, one, exact, strangers)
        except ValueError as error:
            message, rule = str(error), NOT_ASKED
        else:
            rule = STRANGERS
        if message:
            told.add(key)
            yield rule.at(f"{one.file}:", message)


def claims(issuer: str, subject: str, audience: str) -> dict[str, Any]:
    """Of a token as the API server of a cluster makes it, for a service account's pod."""
    *_, namespace, name = subject.split(":")
    return {
        "iss": issuer,
        "sub": subject,
        "aud": [audience],
        "iat": 1780000000,
        "nbf": 1780000000,
        "exp": 1780003600,
        "jti": f"jti-of-{namespace}-{name}",
        "kubernetes.io": {
            "namespace": namespace,
            "serviceaccount": {"name": name, "uid": f"uid-of-{namespace}-{name}"},
            "pod": {"name": f"{name}-0", "uid": f"uid-of-pod-{namespace}-{name}"},
            "node": {"name": "n1", "uid": "uid-of-node"},
        },
    }


def _admitted(party: Party, access: Any, one: Acceptance, exact: tuple[str, ...], strangers: tuple[str, ...]) -> str:
    """Who gets in that should not, in words; empty where nobody does. Raises ValueError where that is not judged."""
    for subject in strangers:
        if _allowed(party.evaluate(access, claims(one.issuer, subject, one.audience), one.target)):
            return f"{subject}, which nobody declared, gets in as {one.target}"
    for subject in exact if one.issuer else ():
        if _allowed(party.evaluate(access, claims(OTHER_ISSUER, subject, one.audience), one.target)):
            return f"{subject} of another cluster ({OTHER_ISSUER}) gets in as {one.target}"
    return ""


def _allowed(verdict: Verdict) -> bool:
    if verdict.reason == "Unknown":
        raise ValueError("a rule in it is not evaluated here")
    return verdict.allowed


def _subjects(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Subjects that stand in documents, and strangers to them."""
    exact: dict[str, None] = {}
    strangers = {f"{_PREFIX}{_NAMESPACE}:{_NAME}": None}
    for match in _SUBJECT.finditer(text):
        namespace, name = match[1], match[2] or _NAME
        if _WILD & set(namespace):
            filled = (part.replace("*", _PART).replace("?", _PART[0]) for part in (namespace, name))
            strangers[_PREFIX + ":".join(filled)] = None
        elif not _WILD & set(name):
            if match[2]:
                exact[match[0]] = None
            # Of the same name elsewhere; of a namespace whose name only begins so.
            strangers[f"{_PREFIX}{_NAMESPACE}:{name}"] = None
            strangers[f"{_PREFIX}{namespace}-{_PART}:{name}"] = None
    return tuple(exact)[:_MOST], tuple(one for one in strangers if one not in exact)[: 2 * _MOST]
