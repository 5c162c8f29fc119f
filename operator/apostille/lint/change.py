"""What a change of declarations does: who gains, who loses, what the relying parties must hold then, what restarts."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from apostille.core.access import access
from apostille.core.judge import Context
from apostille.core.pod_plan import pod_plan
from apostille.core.resolve import ResolvedBinding, World, resolve
from apostille.kinds import decode
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.lint.foreign import NOT_YAML
from apostille.lint.judge import Options, lint
from apostille.lint.objects import objects
from apostille.lint.report import Report, Result
from apostille.lint.text import Document, Problem, documents
from apostille.lint.text import decode as decode_text
from apostille.model import names
from apostille.model.identity import Issuer

PLACEHOLDER = "https://issuer.example"
"""The issuer in rendered documents where nobody names the cluster's."""

File = tuple[str, bytes] | Problem


class Right(NamedTuple):
    """Whoever runs as this service account takes on this target."""

    namespace: str
    service_account: str
    party: str
    target: str
    trust: str
    audience: str


class May(NamedTuple):
    """A trust allows this service account to bind to this target."""

    namespace: str
    service_account: str
    trust: str
    target: str


@dataclass(frozen=True, slots=True)
class State:
    """Declarations at one moment: rights with the bindings that give them, documents by trust and file."""

    report: Report
    rights: Mapping[Right, tuple[str, ...]]
    allowed: frozenset[May]
    documents: Mapping[tuple[str, str], str]
    plans: Mapping[str, str]
    """Of each binding the digest of what its pods hold."""
    modes: Mapping[str, str]
    """Of each trust the enforcement mode."""


@dataclass(frozen=True, slots=True)
class Change:
    """``documents`` are unified differences by trust and file; ``restart`` bindings whose running pods are stale then.

    ``modes`` are trusts with their enforcement before and after. ``found`` are findings that were not there before.
    """

    gains: Sequence[tuple[Right, tuple[str, ...]]]
    loses: Sequence[tuple[Right, tuple[str, ...]]]
    may: Sequence[May]
    may_not: Sequence[May]
    modes: Sequence[tuple[str, str, str]]
    restart: Sequence[str]
    documents: Mapping[tuple[str, str], str]
    found: Sequence[Result]
    mended: Sequence[Result]
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def empty(self) -> bool:
        """Whether it does nothing at all."""
        return not any((self.gains, self.loses, self.may, self.may_not, self.modes, self.restart, self.documents))


def state(files: Iterable[File], options: Options, now: datetime) -> State:
    """What the files declare, at ``now`` (timezone-aware). Never raises for what they hold."""
    given = list(files)
    report = lint(given, options)
    trusts, bindings = _declared(given, options.namespace)
    issuer = options.context.issuer or Issuer(PLACEHOLDER)
    context = Context(issuer, options.context.own_namespace, options.context.addresses)
    world = resolve(trusts.values(), bindings.values(), context, now)
    rights: dict[Right, tuple[str, ...]] = {}
    for one in world.live:
        for right in _rights(one):
            rights[right] = (*rights.get(right, ()), f"{one.binding.namespace}/{one.binding.name}")
    accepted = [one.trust for one in world.trusts.values() if one.accepted]
    return State(
        report=report,
        rights=rights,
        allowed=frozenset(
            May(allow.namespace, account, trust.name, target)
            for trust in accepted
            for allow in trust.spec.allow
            for account in allow.service_accounts
            for target in allow.targets
        ),
        documents=_documents(world, issuer),
        plans={
            f"{one.binding.namespace}/{one.binding.name}": pod_plan(one.trust.trust, one.binding).frozen.digest
            for one in world.live
            if one.trust is not None
        },
        modes={trust.name: trust.spec.enforcement.mode for trust in accepted},
    )


def change(before: State, after: State) -> Change:
    """From one state to the other; sorted, so that the same change reads the same."""
    known, now = _identities(before.report), _identities(after.report)
    both = before.rights.keys() & after.rights.keys()
    changed: dict[tuple[str, str], str] = {}
    for key in sorted(before.documents.keys() | after.documents.keys()):
        old, new = before.documents.get(key, ""), after.documents.get(key, "")
        if old != new:
            changed[key] = _difference(key[1], old, new)
    still = {binding for right in both for binding in after.rights[right]}
    notes = []
    if changed and any(PLACEHOLDER in text for text in (*after.documents.values(), *before.documents.values())):
        notes.append(f"documents are shown for the issuer {PLACEHOLDER}; --issuer names the cluster's own")
    return Change(
        gains=sorted((right, by) for right, by in after.rights.items() if right not in both),
        loses=sorted((right, by) for right, by in before.rights.items() if right not in both),
        may=sorted(after.allowed - before.allowed),
        may_not=sorted(before.allowed - after.allowed),
        modes=[
            (name, before.modes.get(name, ""), after.modes.get(name, ""))
            for name in sorted(before.modes.keys() | after.modes.keys())
            if before.modes.get(name, "") != after.modes.get(name, "")
        ],
        restart=sorted(name for name in still if before.plans.get(name, after.plans[name]) != after.plans[name]),
        documents=changed,
        found=[result for identity, result in now.items() if identity not in known],
        mended=[result for identity, result in known.items() if identity not in now],
        notes=notes,
    )


def _declared(
    files: Iterable[File], namespace: str
) -> tuple[dict[str, FederationTrust], dict[tuple[str, str], WorkloadBinding]]:
    """As lint reads them: of what is declared twice the first, and nothing that does not fit its schema."""
    trusts: dict[str, FederationTrust] = {}
    bindings: dict[tuple[str, str], WorkloadBinding] = {}
    for file in files:
        text = file if isinstance(file, Problem) else decode_text(*file)
        if isinstance(text, Problem) or isinstance(file, Problem) or file[0].endswith(NOT_YAML):
            continue
        for document in documents(file[0], text):
            for one in objects(document) if isinstance(document, Document) else ():
                try:
                    if one.kind == names.TRUST_KIND:
                        trust = decode.federation_trust(one.raw)
                        trusts.setdefault(trust.name, trust)
                    elif one.kind == names.BINDING_KIND:
                        raw = {**one.raw, "metadata": {"namespace": namespace, **one.raw["metadata"]}}
                        binding = decode.workload_binding(raw)
                        bindings.setdefault((binding.namespace, binding.name), binding)
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue  # a finding of lint's
    return trusts, bindings


def _rights(one: ResolvedBinding) -> list[Right]:
    if one.trust is None:
        return []
    trust = one.trust.trust
    target = trust.party.target_id(one.binding.view(trust.party).target)
    return [
        Right(account.namespace, account.name, trust.party.name, target, trust.name, trust.audience)
        for account in one.binding.service_accounts
    ]


def _documents(world: World, issuer: Issuer) -> dict[tuple[str, str], str]:
    made: dict[tuple[str, str], str] = {}
    for name, one in world.trusts.items():
        if not one.accepted or one.trust.spec.configuration.mode == "None":
            continue
        try:
            files = access(one.trust, world.of_trust(name), issuer).files
        except ValueError as error:
            files = {"not rendered": f"{error}\n"}
        made |= {(name, file): text for file, text in files.items()}
    return made


def _difference(file: str, old: str, new: str) -> str:
    old, new = _readable(file, old), _readable(file, new)
    lines = difflib.unified_diff(
        old.splitlines(), new.splitlines(), f"a/{file}" if old else "/dev/null", f"b/{file}" if new else "/dev/null",
        lineterm="",
    )  # fmt: skip
    return "\n".join(lines)


def _readable(file: str, text: str) -> str:
    """Documents that stand as text inside of JSON, such as policies, are written out, so that one sees what differs."""
    if not file.endswith(".json") or not text:
        return text
    try:
        return json.dumps(_unfolded(json.loads(text)), indent=2)
    except ValueError:
        return text


def _unfolded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unfolded(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_unfolded(child) for child in value]
    if isinstance(value, str) and value.startswith("{"):
        try:
            return _unfolded(json.loads(value))
        except ValueError:
            return value
    return value


def _identities(report: Report) -> dict[tuple[str, str, str, str], Result]:
    """Findings by what does not change when lines or files move."""
    return {(one.finding.rule.id, one.about, one.finding.path, one.finding.message): one for one in report.active}
