"""Every metric of controller and admission, in one place. Labels are bounded: never a pod, namespace or user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import Counter, Gauge, Histogram, Info
from prometheus_client.metrics import MetricWrapperBase

from apostille import __version__

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

ADMISSION_REQUESTS = Counter("apostille_admission_requests", "Admission reviews answered", ["webhook", "result"])
ADMISSION_SECONDS = Histogram(
    "apostille_admission_seconds", "Time to answer an admission review, waiting included", ["webhook"], buckets=_FAST
)
ADMISSION_WARNINGS = Counter("apostille_admission_warnings", "Warnings sent to users", ["webhook"])
RECONCILES = Counter("apostille_reconciles", "Reconciliations", ["kind", "result"])
RECONCILE_SECONDS = Histogram("apostille_reconcile_seconds", "Time of one reconciliation", ["kind"], buckets=_FAST)
QUEUE_DEPTH = Gauge("apostille_queue_depth", "Keys that wait for a reconciliation")
LEADER = Gauge("apostille_leader", "1 where this process leads")
WATCH_SILENCE = Gauge("apostille_watch_silence_seconds", "Seconds since the API server was last heard", ["collection"])
REACHABLE = Gauge(
    "apostille_admission_reachable", "1 when the API server was last seen to reach the admission endpoint"
)
CERTIFICATE_EXPIRY = Gauge(
    "apostille_certificate_expiry_timestamp_seconds", "When the admission server's certificate ends, in Unix time"
)
CERTIFICATE_STEPS = Counter(
    "apostille_certificate_steps", "Steps of the rotation of the admission server's certificate", ["step"]
)
OBJECTS = Gauge("apostille_objects", "Trusts and bindings by the reason of their condition Ready", ["object", "reason"])
PODS = Gauge("apostille_pods", "Pods of all bindings, as their statuses count them", ["state"])
EVICTIONS = Counter(
    "apostille_evictions", "Pods that spec.repair had evicted, was not allowed to, or could not yet", ["result"]
)
EVENTS_LOST = Counter("apostille_events_lost", "Events that could not be written")
BUILD = Info("apostille_build", "The version of this process")
BUILD.info({"version": __version__})

LABELS = {
    "webhook": "`mutate` (pods), `validate` (the two kinds)",
    "result": "of a review: `injected`, `allowed`, `denied`, `error`; of a reconciliation: `done`, `retried`; "
    "of an eviction: `evicted`, `blocked`, `forbidden`",
    "kind": "`cluster` (selection and policies), `trust`, `binding`, `pods`, `repair`",
    "collection": "heard of: `pods`, `generated`, `declared` and `lease` by a controller, `federationtrusts` and "
    "`workloadbindings` by admission",
    "object": "`FederationTrust`, `WorkloadBinding`",
    "reason": "one of the [reasons](../reasons/README.md) of `Ready`",
    "state": "`matched`, `injected`, `stale`, `missing`",
    "step": "`install`, `prepare`, `switch`, `forget`, in this order",
    "version": "of the package",
}
"""What each label may be."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric as Prometheus sees it. ``series`` are the names of its time series."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str
    series: tuple[str, ...]


_SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "info": ("_info",), "gauge": ("",)}


def catalogue() -> Iterator[Metric]:
    """All of them, in the order above."""
    for collector in globals().values():
        if isinstance(collector, MetricWrapperBase):
            (described,) = collector.describe()
            labels = ("version",) if described.type == "info" else tuple(collector._labelnames)
            series = tuple(described.name + suffix for suffix in _SUFFIXES[described.type])
            yield Metric(described.name, described.type, labels, described.documentation, series)
