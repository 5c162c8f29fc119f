"""What is counted, as Prometheus text. Labels are bounded: bindings of this pod, states, results, reasons, shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

STATES = ("pending", "fresh", "overdue", "expired", "failed", "denied", "ended")


@dataclass(slots=True)
class Counts:
    """Of one binding. ``results`` counts exchanges by result, ``failures`` the failed ones by reason."""

    results: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    notifications: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, result: str, seconds: float, reason: str = "") -> None:
        """One exchange, renewal or revocation."""
        self.results[result] = self.results.get(result, 0) + 1
        self.seconds += seconds
        if reason:
            self.failures[reason] = self.failures.get(reason, 0) + 1


@dataclass(frozen=True, slots=True)
class Standing:
    """One binding now; ``expires`` in seconds since the epoch, 0 where nothing is held."""

    binding: str
    state: str
    expires: float
    counts: Counts


def text(standings: Iterable[Standing], replies: Mapping[tuple[str, int], int]) -> bytes:
    """The exposition format, version 0.0.4."""
    every = list(standings)
    lines: list[str] = []

    def family(name: str, kind: str, what: str, samples: Iterable[tuple[Mapping[str, object], float]]) -> None:
        lines.append(f"# HELP apostille_exchange_{name} {what}")
        lines.append(f"# TYPE apostille_exchange_{name} {kind}")
        for labels, value in samples:
            shown = ",".join(f'{label}="{text}"' for label, text in labels.items())
            lines.append(f"apostille_exchange_{name}{{{shown}}} {value:.15g}")

    family(
        "state", "gauge", "1 for the state that the binding's credential is in.",
        (({"binding": s.binding, "state": state}, float(s.state == state)) for s in every for state in STATES),
    )  # fmt: skip
    family(
        "credential_expires_timestamp_seconds", "gauge", "When the held credential ends.",
        (({"binding": s.binding}, s.expires) for s in every if s.expires),
    )  # fmt: skip
    family(
        "exchanges_total", "counter", "Exchanges, renewals and revocations by result.",
        (({"binding": s.binding, "result": r}, n) for s in every for r, n in sorted(s.counts.results.items())),
    )  # fmt: skip
    family(
        "failures_total", "counter", "What failed, by normalised reason.",
        (({"binding": s.binding, "reason": r}, n) for s in every for r, n in sorted(s.counts.failures.items())),
    )  # fmt: skip
    family(
        "exchange_seconds_total", "counter", "Time that exchanges took.",
        (({"binding": s.binding}, s.counts.seconds) for s in every),
    )  # fmt: skip
    family(
        "notifications_total", "counter", "Hooks and signals by result.",
        (({"binding": s.binding, "result": r}, n) for s in every for r, n in sorted(s.counts.notifications.items())),
    )  # fmt: skip
    family(
        "replies_total", "counter", "Replies of the endpoints, by shape and status.",
        (({"shape": shape, "status": status}, n) for (shape, status), n in sorted(replies.items())),
    )  # fmt: skip
    return ("\n".join(lines) + "\n").encode()
