"""What the exchange sidecar and the kubelet say of a binding in a pod."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from apostille.core.explain.answer import Observed, Pod, Sidecar, State
from apostille.core.explain.declared import Judged
from apostille.core.explain.pods import containers, exchange_status, volumes
from apostille.model import names

# What the sidecar logs of one try (apostille_exchange.exchange).
_FAILED, _WENT_WELL = ("Refused", "Failed"), ("Exchanged", "Renewed")
_NO_ANSWER = ("Unreachable", "TLSFailed", "Unavailable")


def trouble(judged: Judged, observed: Observed) -> tuple[State, str, str] | None:
    """What the sidecar says of its last try; None where all is well or there is no sidecar for it."""
    status = exchange_status(observed.pod)
    if status is None or names.CREDENTIALS_VOLUME not in {v.get("name") for v in volumes(observed.pod)}:
        return None
    last: Mapping[str, Any] = {}
    for said in _lines(judged, observed):
        if said.get("result") in (*_FAILED, *_WENT_WELL):
            last = said
    if last.get("result") in _FAILED:
        reason = str(last.get("reason", "Unknown"))
        detail = ": ".join(str(last[key]) for key in ("code", "detail") if last.get(key))
        host = _host(judged.endpoint) or _endpoint(observed.pod, judged.name) or "the relying party"
        if reason in _NO_ANSWER:
            return (
                State.UNREACHABLE, f"{host} was not reached: {reason}{f' ({detail})' if detail else ''}",
                f"let pods of namespace {observed.namespace} reach {host} (NetworkPolicy, DNS, firewall), or correct "
                f"the address in FederationTrust {judged.identity.trust}",
            )  # fmt: skip
        return (
            State.EXCHANGE_FAILED, f"{host} refused the exchange: {reason}{f' ({detail})' if detail else ''}",
            f"compare what {host} holds with: apostille render {judged.identity.trust}",
        )  # fmt: skip
    said_last = standing(judged, observed)
    if said_last is not None and said_last.state == "expired":
        return (
            State.EXCHANGE_FAILED, "the credential ended without a renewal: what the application holds is of no use",
            f"kubectl logs {observed.name} -n {observed.namespace} -c {names.EXCHANGE_CONTAINER}",
        )  # fmt: skip
    if not status.get("started") and not last:
        return (
            State.STARTING, "the exchange sidecar has no credential yet; the pod's containers start after it",
            f"kubectl logs {observed.name} -n {observed.namespace} -c {names.EXCHANGE_CONTAINER}",
        )  # fmt: skip
    return None


def standing(judged: Judged, observed: Observed) -> Sidecar | None:
    """The state that the sidecar logged last; None where it said none."""
    found: Sidecar | None = None
    for said in _lines(judged, observed):
        if isinstance(state := said.get("state"), str):
            held = found.expires if found is not None and state in ("fresh", "overdue") else ""
            found = Sidecar(state, str(said.get("expires") or held))
    return found


def _lines(judged: Judged, observed: Observed) -> Iterator[Mapping[str, Any]]:
    for line in observed.exchange_log.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if isinstance(said, dict) and said.get("binding") == judged.name:
            yield said


def _endpoint(pod: Pod, binding: str) -> str:
    """The host that the sidecar was admitted for."""
    for container in containers(pod):
        if container.get("name") not in names.OUR_CONTAINERS:
            continue
        for argument in container.get("args") or ():
            try:
                admission = json.loads(str(argument).partition("=")[2] or str(argument))
            except ValueError:
                continue
            if isinstance(admission, dict) and admission.get("binding") == binding:
                return _host(str(admission.get("endpoint", "")))
    return ""


def _host(url: str) -> str:
    found = re.match(r"https?://([^/]+)", url)
    return found[1] if found else ""


def token_refused(judged: Judged, observed: Observed) -> str | None:
    """What the kubelet says of the volume, where the API server's policies gave it no token."""
    for event in reversed(observed.events):
        note = str(event.get("message") or event.get("note") or "")
        if event.get("reason") == "FailedMount" and names.token_volume(judged.name) in note and "[APO" in note:
            return note
    return None
