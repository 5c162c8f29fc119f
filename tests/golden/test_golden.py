"""Golden cases: what the pure core makes of whole declarations, written down to be read in a review.

A case is a folder beside this file. ``in/``: YAML documents told apart by their kind (FederationTrust, WorkloadBinding,
Pod), and ``facts.yaml`` with ``now``, ``issuer`` and which outputs to ``show``. The first Pod is the one that is
created; others exist already. ``out/``: what the functions return. After an intended change, rewrite with
``APOSTILLE_UPDATE_GOLDEN=1 hack/python -m pytest tests/golden`` and review the diff like code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonpatch
import msgspec
import pytest
import yaml

from apostille.core.access import access
from apostille.core.desired import Desired, InForce, desired, plans_for
from apostille.core.grants import policies
from apostille.core.inject import inject
from apostille.core.judge import Context, shares_audience
from apostille.core.pods import PodFacts, facts, foreign_users, state
from apostille.core.resolve import World, resolve
from apostille.core.selection import selection
from apostille.core.settings import InjectionSettings
from apostille.core.status import TrustFacts, binding_status, trust_status
from apostille.kinds import decode
from apostille.kinds.status import PodCounts, to_json
from apostille.model import names
from apostille.model.identity import Issuer, ServiceAccount
from builders import SETTINGS

HERE = Path(__file__).parent
CASES = sorted(path.parent.name for path in HERE.glob("*/in"))
UPDATE = os.environ.get("APOSTILLE_UPDATE_GOLDEN") == "1"

Json = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """The inputs of one folder, decoded."""

    world: World
    desired: Desired
    pod: Json | None
    pods: list[PodFacts]
    foreign: dict[str, dict[str, int]]
    issuer: Issuer
    facts: Json


def load(folder: Path) -> Case:
    """Raises InvalidObject when a declaration does not fit its schema."""
    documents = [
        document
        for path in sorted(folder.glob("*.yaml"))
        if path.name != "facts.yaml"
        for document in yaml.safe_load_all(path.read_text())
        if document
    ]
    told = yaml.safe_load((folder / "facts.yaml").read_text())
    issuer = msgspec.convert(told["issuer"], Issuer)
    pods = [document for document in documents if document["kind"] == "Pod"]
    known = [found for raw in pods if (found := facts(raw)) is not None]
    world = resolve(
        [decode.federation_trust(raw) for raw in documents if raw["kind"] == names.TRUST_KIND],
        [decode.workload_binding(raw) for raw in documents if raw["kind"] == names.BINDING_KIND],
        Context(issuer, SETTINGS.own_namespace),
        told["now"],
    )
    grants = desired(world, {}).grants
    foreign = {
        name: foreign_users(
            known,
            trust.trust.audience,
            [grant.account for grant in grants if grant.audience == trust.trust.audience],
            names.SYSTEM_NAMESPACES,
        )
        for name, trust in world.trusts.items()
    }
    return Case(world, desired(world, foreign), pods[0] if pods else None, known, foreign, issuer, told)


def show_inject(case: Case) -> Mapping[str, str]:
    """What the webhook answers, and the pod that comes of it."""
    assert case.pod is not None
    account = ServiceAccount(case.pod["metadata"]["namespace"], case.pod["spec"].get("serviceAccountName", "default"))
    plans = plans_for(case.world, account)
    found = inject(case.pod, plans, InjectionSettings())
    after: Json = jsonpatch.apply_patch(deepcopy(case.pod), list(found.operations))
    assert found.denial or inject(after, plans, InjectionSettings()).operations == (), "injecting twice changes nothing"
    answer: Json = {"denial": found.denial} if found.denial else {}
    answer["warnings"] = list(found.warnings)
    return {"patch.json": text(list(found.operations)), "answer.yaml": yamled(answer)}


def show_status(case: Case) -> Mapping[str, str]:
    """Statuses of everything declared, once all that follows is in force."""
    in_force = InForce(selection=case.desired, policies=case.desired, reachable=True)
    every = [trust.trust for trust in case.world.trusts.values()]
    statuses = {}
    for name, trust in case.world.trusts.items():
        known = TrustFacts(
            bindings=case.world.of_trust(name),
            issuer=case.issuer,
            issuer_error="",
            access=access(trust.trust, case.world.of_trust(name), case.issuer) if trust.accepted else None,
            access_error="",
            foreign=case.foreign[name],
            in_force=in_force,
            shares_with=shares_audience(trust.trust, every),
        )
        statuses[f"FederationTrust {name}"] = to_json(trust_status(trust, known, case.facts["now"]))
    for binding in case.world.bindings:
        own = binding.binding
        counts = {"injected": 0, "stale": 0, "missing": 0}
        for pod in case.pods if binding.live else ():
            for plan in plans_for(case.world, pod.account):
                if plan.binding == own.name and pod.account in own.service_accounts:
                    counts[state(pod, plan)] += 1
        pods = PodCounts(matched=sum(counts.values()), **counts)
        status = binding_status(binding, pods, in_force, case.facts["now"])
        statuses[f"WorkloadBinding {own.namespace}/{own.name}"] = to_json(status)
    return {"status.yaml": yamled(statuses)}


def show_access(case: Case) -> Mapping[str, str]:
    """The far side's documents, as they stand in the ConfigMap."""
    return {
        f"access/{name}/{file}": content
        for name, trust in case.world.trusts.items()
        if trust.accepted
        for file, content in access(trust.trust, case.world.of_trust(name), case.issuer).files.items()
    }


def show_selection(case: Case) -> Mapping[str, str]:
    """The webhook configurations."""
    return {"selection.yaml": yamled_all(selection(case.desired.bound, case.desired.allowed, SETTINGS))}


def show_policies(case: Case) -> Mapping[str, str]:
    """The policies with their grants."""
    return {"policies.yaml": yamled_all(policies(case.desired.protections, case.desired.grants, SETTINGS))}


SHOWN: Mapping[str, Callable[[Case], Mapping[str, str]]] = {
    "inject": show_inject,
    "status": show_status,
    "access": show_access,
    "selection": show_selection,
    "policies": show_policies,
}


def text(document: Any) -> str:
    """JSON for review."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def yamled(document: Any) -> str:
    """YAML for review; keys keep their order."""
    written: str = yaml.safe_dump(document, sort_keys=False, width=120, allow_unicode=True)
    return written


def yamled_all(documents: list[Json]) -> str:
    """Several documents, none of them with an alias into another."""
    return "---\n".join(yamled(json.loads(json.dumps(document))) for document in documents)


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    folder = HERE / name
    case = load(folder / "in")
    made = {file: content for show in case.facts["show"] for file, content in SHOWN[show](case).items()}
    out = folder / "out"
    if UPDATE:
        for old in [path for path in out.rglob("*") if path.is_file()]:
            old.unlink()
        for file, content in made.items():
            (out / file).parent.mkdir(parents=True, exist_ok=True)
            (out / file).write_text(content)
    written = {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}
    assert sorted(made) == sorted(written), f"update with APOSTILLE_UPDATE_GOLDEN=1, see {__name__}"
    for file, content in made.items():
        assert content == written[file], f"{name}/out/{file}"


def test_there_are_cases() -> None:
    assert len(CASES) >= 15
