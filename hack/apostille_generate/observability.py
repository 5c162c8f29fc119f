"""Metrics and alerts as pages of ``docs/reference/``, and the dashboard of the chart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from apostille.model.names import DOCS
from apostille.telemetry.metrics import LABELS, Metric, catalogue
from apostille_generate.markdown import NOTE, code, table

ALERTS = Path("charts/apostille/files/alerts.yaml")

_Panel = tuple[str, str, Mapping[str, str]]
# Title, unit (Grafana's word) and queries by legend; two panels a row.
_PANELS: tuple[_Panel, ...] = (
    (
        "Reachable, led",
        "none",
        {"admission reachable": "max(apostille_admission_reachable)", "leaders": "sum(apostille_leader)"},
    ),
    ("Trusts and bindings", "none", {"{{object}} {{reason}}": "sum by (object, reason) (apostille_objects)"}),
    ("Pods of bound service accounts", "none", {"{{state}}": "max by (state) (apostille_pods)"}),
    ("Keys that wait", "none", {"depth": "max(apostille_queue_depth)"}),
    (
        "Silence of the API server",
        "s",
        {"{{pod}} {{collection}}": "max by (pod, collection) (apostille_watch_silence_seconds)"},
    ),
    (
        "Time until the admission server's certificate ends",
        "s",
        {"least": "min(apostille_certificate_expiry_timestamp_seconds > 0) - time()"},
    ),
    ("Versions", "none", {"{{version}}": "count by (version) (apostille_build_info)"}),
)


def files(root: Path) -> dict[str, str]:
    """Path to text."""
    return {
        "docs/reference/metrics.md": _metrics(),
        "docs/reference/alerts.md": _alerts(yaml.safe_load((root / ALERTS).read_text())),
        "charts/apostille/files/dashboard.json": json.dumps(_dashboard(), indent=1) + "\n",
    }


def _metrics() -> str:
    rows = [
        (
            code(metric.name),
            metric.type,
            ", ".join(map(code, metric.labels)),
            metric.help,
            ", ".join(map(code, metric.series)),
        )
        for metric in catalogue()
    ]
    return (
        f"{NOTE}# Metrics\n\nOf the controller (`/metrics` on `controller.port`) and the admission server (`/metrics` "
        "on `admission.port`, with its certificate). `serviceMonitor.enabled` has Prometheus read both. "
        "[Alerts](alerts.md) and the chart's dashboard use no others.\n\n"
        + table(("Metric", "Type", "Labels", "What it says", "Time series"), rows)
        + "\n## Labels\n\nBounded: never a pod, a namespace or a user.\n\n"
        + table(("Label", "Values"), [(code(name), values) for name, values in LABELS.items()])
    )


def _alerts(alerts: list[dict[str, Any]]) -> str:
    rows = [
        (
            code(alert["alert"]),
            alert["labels"]["severity"],
            code(alert["expr"]) + (f" for {alert['for']}" if "for" in alert else ""),
            alert["annotations"]["description"] + _runbook(alert["annotations"].get("runbook_url", "")),
        )
        for alert in alerts
    ]
    return (
        f"{NOTE}# Alerts\n\nMade by the chart with `prometheusRule.enabled`; `prometheusRule.disabled` leaves some "
        "out.\n\n" + table(("Alert", "Severity", "When", "What it means and what to do"), rows)
    )


def _runbook(url: str) -> str:
    """The page that an alert links to, or the index where its labels say which."""
    page = url.removeprefix(f"{DOCS}/")
    return f" [Runbook](../{'reasons/README' if '{{' in page else page}.md)." if url else ""


def _panels() -> tuple[_Panel, ...]:
    """Those above, and one for each metric that is on none of them."""
    shown = " ".join(query for _, _, queries in _PANELS for query in queries.values())
    return (*_PANELS, *(_panel(metric) for metric in catalogue() if metric.series[0] not in shown))


def _panel(metric: Metric) -> _Panel:
    legend = " ".join(f"{{{{{label}}}}}" for label in metric.labels) or "all"
    by = f" by ({', '.join(metric.labels)})" if metric.labels else ""
    if metric.type == "counter":
        return metric.help, "ops", {legend: f"sum{by} (rate({metric.series[0]}[5m]))"}
    if metric.type == "histogram":
        buckets = f"sum by ({', '.join(('le', *metric.labels))}) (rate({metric.series[0]}[5m]))"
        return metric.help, "s", {f"{legend} p{p}": f"histogram_quantile(0.{p}, {buckets})" for p in (50, 99)}
    return metric.help, "s" if metric.name.endswith("_seconds") else "none", {legend: f"max{by} ({metric.series[0]})"}


def _dashboard() -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    choice = {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"}
    panels = [
        {
            "id": number + 1,
            "title": title,
            "type": "timeseries",
            "datasource": source,
            "gridPos": {"h": 8, "w": 12, "x": 12 * (number % 2), "y": 8 * (number // 2)},
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "targets": [
                {"refId": chr(ord("A") + index), "datasource": source, "expr": query, "legendFormat": legend}
                for index, (legend, query) in enumerate(queries.items())
            ],
        }
        for number, (title, unit, queries) in enumerate(_panels())
    ]
    return {
        "uid": "apostille",
        "title": "Apostille",
        "tags": ["apostille"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [choice]},
        "panels": panels,
    }
