"""``docs/reasons/``: one page a reason of a condition, with what a scene of the tests shows, and a table of all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from apostille.core.status import event
from apostille.model.conditions import EXPLAINED, Explanation, Reason, find
from apostille.model.names import BINDING_KIND, DOCS, TRUST_KIND
from apostille_generate.markdown import NOTE, code, table
from apostille_generate.observability import ALERTS

FOLDERS = ("docs/reasons",)
# What `tests/core/test_reasons.py` has made of real declarations.
SCENES = Path("tests/core/golden/reasons.yaml")

_DESCRIBE = {
    TRUST_KIND: "kubectl describe ftrust aws-prod",
    BINDING_KIND: "kubectl describe wbind s3-reader --namespace payments",
}
# kubectl's words for the fields of a condition, in its order, and the width of its column.
_FIELDS = {
    "lastTransitionTime": "Last Transition Time",
    "message": "Message",
    "observedGeneration": "Observed Generation",
    "reason": "Reason",
    "status": "Status",
    "type": "Type",
}
_WIDTH = len("Last Transition Time:") + 2
# Beside the metric and the alert that every reason of Ready has.
_METRICS = {
    Reason.ADMISSION_UNREACHABLE: "apostille_admission_reachable",
    Reason.PODS_MISSING: 'apostille_pods{state=~"missing|stale"}',
}
_KSTATUS = {"Reconciling": "InProgress", "Stalled": "Failed"}

Scene = Mapping[str, Any]


def files(root: Path) -> dict[str, str]:
    """Path to text."""
    scenes: list[Scene] = list(yaml.safe_load((root / SCENES).read_text()).values())
    alerts = yaml.safe_load((root / ALERTS).read_text())
    pages = {f"docs/reasons/{reason}.md": _page(reason, found, scenes, alerts) for reason, found in EXPLAINED.items()}
    return {"docs/reasons/README.md": _index(), **pages}


def _index() -> str:
    rows = [
        (
            f"[{reason}]({reason}.md)",
            ", ".join(f"{kind}={status}" for kind, status in found.at),
            found.meaning,
            found.remedy,
        )
        for reason, found in EXPLAINED.items()
    ]
    return (
        f"{NOTE}# Reasons\n\n"
        "`kubectl get ftrust,wbind` shows the reason of the condition `Ready`, `-o wide` its message too; the "
        "other conditions are in the status. Reasons are never renamed.\n\n"
        + table(("Reason", "Condition", "What it means", "What to do"), rows)
    )


def _page(reason: Reason, found: Explanation, scenes: list[Scene], alerts: list[dict[str, Any]]) -> str:
    shown = _shown(reason, scenes)
    examples = "\n".join(_example(reason, scene) for scene in shown.values())
    return (
        f"{NOTE}# {reason}\n\n{found.meaning}\n\n"
        + table(("", ""), _facts(reason, found, scenes, alerts))
        + f"\n## What to do\n\n{found.remedy}\n\n## What you see\n\n{examples}\n[All reasons](README.md)\n"
    )


def _shown(reason: Reason, scenes: list[Scene]) -> dict[str, Scene]:
    """By kind the first scene with the reason, one where Ready has it before others."""
    having = [scene for scene in scenes if any(one["reason"] == reason for one in scene["conditions"])]
    having.sort(key=lambda scene: _ready(scene)["reason"] != reason)
    return {
        kind: next(one for one in having if one["kind"] == kind) for kind in sorted({one["kind"] for one in having})
    }


def _facts(
    reason: Reason, found: Explanation, scenes: list[Scene], alerts: list[dict[str, Any]]
) -> Iterator[tuple[str, str]]:
    yield "Condition", ", ".join(code(f"{kind}={status}") for kind, status in found.at)
    yield "Of", ", ".join(_shown(reason, scenes))
    ready = [scene for scene in scenes if _ready(scene)["reason"] == reason]
    if not ready:
        yield "Event, metric", "none of its own: those of the condition `Ready`"
        return
    yield "For GitOps (kstatus)", ", ".join(sorted({_kstatus(scene) for scene in ready}))
    (kind,) = {event(_ready(scene))[0] for scene in ready}
    yield "Event", f"{kind} {code(reason)}, when `Ready` comes to it"
    metrics = [f'apostille_objects{{reason="{reason}"}}', *filter(None, [_METRICS.get(reason)])]
    yield "Metric", ", ".join(f"[{code(metric)}](../reference/metrics.md)" for metric in metrics)
    alarms = [f"[{code(name)}](../reference/alerts.md)" for name in _alarming(reason, alerts)]
    yield "Alert", ", ".join(alarms) or "none"


def _alarming(reason: Reason, alerts: list[dict[str, Any]]) -> Iterator[str]:
    """Alerts that come of a reason of Ready: those that link to its page, and the one on all but some."""
    for alert in alerts:
        page = alert["annotations"].get("runbook_url", "")
        excepted = re.search(r'reason!~"([^"]*)"', alert["expr"])
        if page == f"{DOCS}/reasons/{reason}" or (excepted and reason not in excepted[1].split("|")):
            yield alert["alert"]


def _ready(scene: Scene) -> Mapping[str, Any]:
    return find(scene["conditions"], "Ready")


def _kstatus(scene: Scene) -> str:
    """What ``sigs.k8s.io/cli-utils`` makes of it, and with it Flux and `kubectl wait` by these conditions."""
    for kind, status in _KSTATUS.items():
        if find(scene["conditions"], kind)["status"] == "True":
            return status
    return "Current" if _ready(scene)["status"] == "True" else "InProgress"


def _example(reason: Reason, scene: Scene) -> str:
    """As `kubectl describe` lays it out: the conditions that have the reason, and the Event."""
    lines = [f"$ {_DESCRIBE[scene['kind']]}", "…", "Status:", "  Conditions:"]
    for condition in scene["conditions"]:
        if condition["reason"] == reason:
            lines += [f"    {f'{said}:':{_WIDTH}}{condition[field]}".rstrip() for field, said in _FIELDS.items()]
    if _ready(scene)["reason"] == reason:
        kind, note = event(_ready(scene))
        rows = [
            ("Type", "Reason", "Age", "From", "Message"),
            ("----", "------", "----", "----", "-------"),
            (kind, str(reason), "2s", "apostille.dev/controller", note),
        ]
        widths = [max(len(row[column]) for row in rows) + 2 for column in range(4)]
        lines += ["…", "Events:"]
        lines += [
            "  " + "".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)) + row[4] for row in rows
        ]
    return "```console\n" + "\n".join(lines) + "\n```\n"
