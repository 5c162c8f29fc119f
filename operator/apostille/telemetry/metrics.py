"""Every metric of controller and admission, in one place. Labels are bounded: never a pod, namespace or user."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

ADMISSION_REQUESTS = Counter(
    "apostille_admission_requests", "Admission reviews answered", ["webhook", "result"]
)  # result: injected, denied, allowed, error
ADMISSION_SECONDS = Histogram(
    "apostille_admission_seconds", "Time to answer an admission review, waiting included", ["webhook"], buckets=_FAST
)
ADMISSION_WARNINGS = Counter("apostille_admission_warnings", "Warnings sent to users", ["webhook"])
RECONCILES = Counter("apostille_reconciles", "Reconciliations", ["kind", "result"])  # result: done, retried
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
)  # step: install, prepare, switch, forget
