"""The catalogue's rules over all that was read: each object by itself, and trusts joined with bindings, workloads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from apostille.core.conflicts import Declared, conflicts
from apostille.core.judge import Context, judge_binding, judge_trust
from apostille.core.tightening import tightening
from apostille.kinds import decode
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.lint import elsewhere, foreign, rendered, suppressions, workloads
from apostille.lint.nodes import Node
from apostille.lint.objects import WORKLOADS, Object, objects
from apostille.lint.report import NOWHERE, Report, Result
from apostille.lint.rules import INVALID, RULES, TWICE
from apostille.lint.text import Document, Problem, documents, too_large
from apostille.lint.text import decode as decode_text
from apostille.model import names
from apostille.model.finding import Finding, refusals
from apostille.model.identity import ServiceAccount
from apostille.parties.registry import catalogue as every_rule
from apostille.rules import catalogue
from apostille.rules.checks import first_of_each
from apostille.rules.modes import Modes

LIVE = "cluster"
"""Stands for the file of what came from a cluster."""
MAX_LABEL = 40
_NO_RECEIVER = (catalogue.AUD_EMPTY, catalogue.AUD_APISERVER, catalogue.AUD_WILDCARD)


@dataclass(frozen=True, slots=True)
class Options:
    """``namespace`` is that of objects which name none; empty leaves it open. ``live`` are objects of a cluster.

    Of files that are not ``named``, but were found, what cannot be read may be somebody else's.
    """

    context: Context
    today: date
    namespace: str = ""
    live: Sequence[Mapping[str, object]] = ()
    named: frozenset[str] = frozenset()


@dataclass(slots=True)
class _World:
    """What was decoded, with the objects that it came from."""

    trusts: dict[str, tuple[FederationTrust, Object]] = field(default_factory=dict)
    bindings: list[tuple[WorkloadBinding, Object]] = field(default_factory=list)
    workloads: list[Object] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    """Trusts that a rule refuses."""
    unreceived: set[str] = field(default_factory=set)
    """Trusts whose audience is no receiver's: nothing is protected by them."""
    tightened: dict[str, Modes] = field(default_factory=dict)
    """By namespace."""
    accepted: dict[str, list[WorkloadBinding]] = field(default_factory=dict)
    """By trust, the bindings that are allowed."""
    results: list[tuple[Result, int | None]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, finding: Finding, one: Object) -> None:
        """A finding at its field."""
        self.results.append((_result(finding, one), id(one.root)))


def lint(files: Iterable[tuple[str, bytes] | Problem], options: Options, notes: Sequence[str] = ()) -> Report:
    """``files`` are names with contents, or why one could not be had. Never raises for what they hold."""
    texts: dict[str, str] = {}
    problems: list[Problem] = []
    passed: list[Problem] = []
    found: list[Object] = []
    natives: dict[str, str] = {}
    roots: dict[str, Node] = {}
    for file in files:
        if isinstance(file, Problem):
            problems.append(file)
            continue
        name, data = file
        text = decode_text(name, data)
        wrong = [text] if isinstance(text, Problem) else _read(name, text, found, roots)
        if wrong and name not in options.named:
            bare = data.decode("latin-1") if isinstance(text, Problem) else text
            if not elsewhere.concerns(name, bare):
                passed += wrong[:1]
                continue
        problems += wrong
        if isinstance(text, Problem):
            continue
        texts[name] = text
        # What was found unreadable with its lines is not read once more without them.
        if foreign.is_native(name) and (name in roots or (name.endswith(foreign.NOT_YAML) and not wrong)):
            natives[name] = text
    found += [Object(LIVE, _synthetic(raw), live=True) for raw in options.live]
    world = _World()
    for one in found:
        _decode(one, options, world)
    if world.tightened:
        options = replace(options, context=replace(options.context, tightened=world.tightened))
    _trusts(world, options)
    _bindings(world, options)
    _together(world, options)
    accepted = [(world.trusts[name][0], binding) for name, of in world.accepted.items() for binding in of]
    _conflicts(accepted, world, options)
    receivers = [trust for trust, _ in world.trusts.values() if trust.name not in world.unreceived]
    of_workloads = workloads.Declared(receivers, accepted, options.context.own_namespace, options.namespace)
    for finding, one in workloads.findings(world.workloads, of_workloads):
        world.add(finding, one)
    for result in foreign.results(natives, roots, found, options.context.issuer):
        world.results.append((result, None))
    bindings = {(binding.namespace, binding.name): binding for binding, _ in reversed(world.bindings)}
    declared = [trust for trust, _ in world.trusts.values()], list(bindings.values())
    for result in rendered.findings(natives, *declared, options.context, options.today):
        world.results.append((result, None))
    known = {rule.id for rule in (*every_rule(), *RULES)}
    written = suppressions.read(texts, found, known, options.today)
    results = suppressions.apply(world.results, written, texts)
    if passed:
        world.notes.append(elsewhere.note(passed))
    results.sort(key=lambda result: (result.file, result.place.line, result.place.column, result.finding.rule.id))
    return Report(results, problems, [*notes, *world.notes], len(texts), len(found) - len(options.live), texts)


def _read(name: str, text: str, found: list[Object], roots: dict[str, Node]) -> list[Problem]:
    """Adds what stands in a file; returns what is wrong with it."""
    if name.endswith(foreign.NOT_YAML):
        return [problem] if (problem := too_large(name, text)) is not None else []
    problems: list[Problem] = []
    for document in documents(name, text):
        if isinstance(document, Document):
            found += objects(document)
            if foreign.is_native(name):
                roots[name] = document.root
        else:
            problems.append(document)
    return problems


def _result(finding: Finding, one: Object) -> Result:
    return Result(finding, one.file, NOWHERE if one.live else one.place(finding.path), one.label)


def _decode(one: Object, options: Options, world: _World) -> None:
    if one.kind in WORKLOADS:
        world.workloads.append(one)
        return
    try:
        if one.kind == "Namespace" and (found := tightening(one.raw)) is not None:
            world.tightened[one.name] = found.modes
            for wrong in found.wrong:
                world.add(INVALID.at(f"metadata.annotations[{names.RULES_ANNOTATION}]", wrong), one)
        if one.kind == names.TRUST_KIND:
            trust = decode.federation_trust(one.raw)
            known = world.trusts.get(trust.name)
            if known is not None and one.live:
                return  # what the file says is what will hold
            if known is not None:
                world.add(TWICE.at("metadata.name", f"{one.label} stands in {known[1].file} too"), one)
                return
            world.trusts[trust.name] = trust, one
        elif one.kind == names.BINDING_KIND:
            raw = one.raw
            if not one.namespace and options.namespace:
                raw = {**raw, "metadata": {**raw["metadata"], "namespace": options.namespace}}
            binding = decode.workload_binding(raw)
            if len(binding.name) > MAX_LABEL:
                world.add(INVALID.at("metadata.name", f"{binding.name!r} has more than {MAX_LABEL} characters"), one)
            world.bindings.append((binding, one))
    except decode.InvalidObject as error:
        path, _, message = str(error).partition(": ")
        world.add(INVALID.at(path, message), one)
    except (KeyError, TypeError, AttributeError, ValueError):
        world.add(INVALID.at("metadata", "metadata and spec must be objects"), one)


def _trusts(world: _World, options: Options) -> None:
    of_audience: dict[str, list[FederationTrust]] = {}
    for trust, _ in world.trusts.values():
        of_audience.setdefault(trust.audience, []).append(trust)
    for trust, one in world.trusts.values():
        # Of other trusts only those with the same audience matter to one.
        findings = judge_trust(trust, of_audience[trust.audience], options.context)
        if refusals(findings):
            world.refused.add(trust.name)
        if any(finding.rule in _NO_RECEIVER for finding in findings):
            world.unreceived.add(trust.name)
        for finding in findings:
            world.add(finding, one)


def _bindings(world: _World, options: Options) -> None:
    alone: set[str] = set()
    nowhere = 0
    seen: dict[tuple[str, str], Object] = {}
    for binding, one in world.bindings:
        key = (binding.namespace, binding.name)
        if (other := seen.get(key)) is not None:
            if one.live:
                continue
            world.add(TWICE.at("metadata.name", f"{one.label} stands in {other.file} too"), one)
            continue
        seen[key] = one
        name = binding.spec.trust_ref.name
        trust = world.trusts[name][0] if name in world.trusts else None
        if trust is None:
            alone.add(name)
        if not binding.namespace:
            nowhere += 1
            trust = None
        findings = judge_binding(binding, trust, options.context)
        for finding in findings:
            world.add(finding, one)
        if trust is not None and name not in world.refused and not refusals(findings):
            world.accepted.setdefault(name, []).append(binding)
    if alone:
        shown = ", ".join(sorted(alone)[:5]) + (" …" if len(alone) > 5 else "")
        world.notes.append(
            f"not among what was read: FederationTrust {shown}; whether they allow their bindings was not judged "
            "(name their files too, or --cluster)"
        )
    if nowhere:
        world.notes.append(
            f"{nowhere} WorkloadBinding{'s'[: nowhere != 1]} without a namespace not judged against their trusts: give "
            "--namespace"
        )


def _together(world: _World, options: Options) -> None:
    """What only shows over all bindings of a trust; it takes the issuer."""
    issuer = options.context.issuer
    if issuer is None:
        return
    for name, bindings in world.accepted.items():
        trust, one = world.trusts[name]
        party, view = trust.party, trust.view
        views = [binding.view(party) for binding in bindings]
        alone = {(finding.rule.id, finding.path, finding.message) for finding in party.findings(view, (), issuer)}
        try:
            found = [
                *party.findings(view, views, issuer),
                *(finding for limit in party.limits(view, views, issuer) for finding in limit.findings("spec.allow")),
            ]
        except ValueError as error:
            found = [INVALID.at("spec", str(error))]
        for finding in found:
            if (finding.rule.id, finding.path, finding.message) not in alone:
                world.add(finding, one)


def _conflicts(accepted: Sequence[tuple[FederationTrust, WorkloadBinding]], world: _World, options: Options) -> None:
    """X-BINDING-CONFLICT, of each binding with those that bind one of its service accounts too."""
    objects_of = {(binding.namespace, binding.name): one for binding, one in reversed(world.bindings)}
    users: dict[ServiceAccount, list[Declared]] = {}
    for trust, binding in accepted:
        for account in binding.service_accounts:
            users.setdefault(account, []).append((binding, trust))
    for trust, binding in accepted:
        others = {
            other[0].name: other
            for account in binding.service_accounts
            for other in users[account]
            if other[0].name != binding.name
        }
        if others:
            found = first_of_each(conflicts((binding, trust), others.values()))
            for finding in options.context.modes_in(binding.namespace).applied(found):
                world.add(finding, objects_of[binding.namespace, binding.name])


def _synthetic(raw: object) -> Node:
    """A tree for what stands in no file."""
    if isinstance(raw, Mapping):
        return Node({str(key): _synthetic(value) for key, value in raw.items()}, NOWHERE, {})
    if isinstance(raw, list | tuple):
        return Node([_synthetic(value) for value in raw], NOWHERE, {})
    return Node(raw, NOWHERE, {})
