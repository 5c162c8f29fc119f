"""`doctor`: each fault gives its line with the fix, and an installation without faults gives none."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

import builders
from apostille.cli.doctor import lines
from apostille.core import grants, selection
from apostille.core.desired import desired
from apostille.core.doctor import certificates
from apostille.core.doctor.check import Check, Level, Observed
from apostille.core.doctor.examine import examine
from apostille.kinds import decode
from apostille.kinds.decode import Unreadable
from apostille_testbed.pki import Authority
from builders import NOW, SETTINGS, raw_binding, raw_trust

URL = builders.ISSUER.url
LABELS = {"app.kubernetes.io/managed-by": "apostille"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A real authority's certificate, as a caBundle."""
    authority = Authority(tmp_path_factory.mktemp("authority"), "ca")
    return base64.b64encode(authority.certificate.read_bytes()).decode()


def ready(raw: dict[str, Any], status: str = "True", reason: str = "Ready", message: str = "as declared") -> Any:
    condition = {"type": "Ready", "status": status, "reason": reason, "message": message}
    return {**raw, "status": {"observedGeneration": 1, "conditions": [condition]}}


@pytest.fixture
def well(bundle: str) -> Observed:
    """One trust, one binding, everything written and in force."""
    trust = {**ready(raw_trust(enforcement={"mode": "Enforce"}))}
    trust["status"]["issuer"] = {"url": URL}
    binding = ready(raw_binding())
    trusts, bindings = [decode.federation_trust(trust)], [decode.workload_binding(binding)]
    want = desired(builders.world(trusts, bindings), {})
    settings = replace(SETTINGS, ca_bundle=bundle)
    configurations = [*selection.selection(want.bound, want.allowed, settings), selection.kinds_webhooks(settings)]
    policies = grants.policies(want.protections, want.grants, settings)
    own = [document for document in policies if document["kind"] == "ValidatingAdmissionPolicy"]
    names = ("controller", "prefixes", "webhooks")
    restraints = [{"metadata": {"name": f"apostille-restrain-{name}"}} for name in names]
    return Observed(
        own_namespace="apostille-system",
        version="v1.37.2",
        kinds_served=True,
        issuer={"issuer": URL},
        keys=[{"kid": "key-1"}],
        issuer_here="",
        anchor={"metadata": {"name": "apostille-anchor"}},
        lease={"spec": {"holderIdentity": "controller-0", "renewTime": "2026-11-24T11:59:59.000000Z"}},
        deployments=[deployment("apostille-controller", 2, 2), deployment("apostille-admission", 2, 2)],
        configurations=configurations,
        policies=[*own, *restraints],
        heard=frozenset({*selection.expected_warnings(configurations), *grants.expected_warnings(own)}),
        server_time=NOW,
        asked_at=NOW,
        trusts=trusts,
        bindings=bindings,
    )


def deployment(name: str, want: int, have: int) -> Any:
    return {"metadata": {"name": name}, "spec": {"replicas": want}, "status": {"readyReplicas": have}}


def of(observed: Observed, name: str, now: datetime = NOW) -> list[Check]:
    return [check for check in examine(observed, now) if check.name == name]


def test_a_well_installation_has_no_line_with_a_fix(well: Observed) -> None:
    found = examine(well, NOW)
    assert [(check.level, check.fix) for check in found] == [(Level.OK, "")] * len(found)
    assert len(found) == 14


@pytest.mark.parametrize(
    ("name", "change", "level", "told", "fix"),
    [
        ("api server", {"version": "v1.29.4"}, "fail", "too old", "1.31"),
        ("api server", {"version": "v1.99.0"}, "warn", "newer", "upgrade"),
        ("kinds", {"kinds_served": False}, "fail", "not served", "kubectl apply --server-side -f crds/"),
        ("installation", {"anchor": None}, "fail", "missing", "helm upgrade --install"),
        (
            "installation", {"anchor": {"metadata": {"deletionTimestamp": "2026-11-24T11:00:00Z"}}},
            "fail", "being uninstalled", "wait",
        ),
        ("replicas", {"deployments": [deployment("apostille-admission", 2, 1)]}, "fail", "1 of 2", "kubectl describe"),
        ("replicas", {"deployments": []}, "warn", "no Deployment", "--namespace"),
        ("controller", {"lease": None}, "fail", "no controller leads", "kubectl logs"),
        (
            "controller", {"lease": {"spec": {"holderIdentity": "c", "renewTime": "2026-11-24T11:50:00Z"}}},
            "fail", "not renewed its lease for 600 s", "kubectl logs",
        ),
        (
            "controller", {"lease": {"spec": {"holderIdentity": "c", "renewTime": "2026-11-24T12:05:00Z"}}},
            "fail", "300 s ahead", "NTP",
        ),
        ("clock", {"asked_at": NOW + timedelta(seconds=90)}, "warn", "90 s ahead of", "NTP"),
        ("clock", {"asked_at": NOW - timedelta(seconds=90)}, "warn", "90 s behind", "NTP"),
        ("issuer", {"keys": []}, "fail", "no issuer or no keys", "--service-account-issuer"),
        ("issuer", {"issuer": {"issuer": f"{URL}/"}}, "fail", f"rendered for {URL}", "apostille render"),
        ("issuer", {"issuer_here": "not reached (TimeoutError)"}, "warn", "not reached", "reachable"),
        ("admission", {"heard": frozenset()}, "fail", "does not reach", "NetworkPolicy"),
        ("admission", {"configurations": []}, "fail", "no webhook configuration", "kubectl logs"),
        ("policies", {"policies": []}, "fail", "no policies", "kubectl logs"),
        ("policies", {"heard": frozenset()}, "warn", "not in force", "status.typeChecking"),
        ("restraints", {"policies": []}, "warn", "apostille-restrain-webhooks", "helm upgrade"),
    ],
)  # fmt: skip
def test_each_fault_has_its_line(
    well: Observed, name: str, change: dict[str, Any], level: str, told: str, fix: str
) -> None:
    (check,) = of(replace(well, **change), name)
    assert (check.level, told in check.message, fix in check.fix) == (level, True, True), check


@pytest.mark.parametrize("url", ["https://kubernetes.default.svc.cluster.local", "https://api.corp.internal:6443/x"])
def test_an_issuer_that_only_the_cluster_reaches_is_a_warning(well: Observed, url: str) -> None:
    (check,) = of(replace(well, issuer={"issuer": url}, trusts=()), "issuer")
    assert (check.level, "only this cluster" in check.message) == ("warn", True)


def test_pods_that_are_bound_but_not_selected_are_named(well: Observed) -> None:
    bare = [one for one in well.configurations if one["kind"] == "ValidatingWebhookConfiguration"]
    (check,) = of(replace(well, configurations=bare), "selection")
    assert check.level is Level.FAIL
    assert check.message.startswith("payments/reader is bound")


def test_a_selection_that_is_written_but_not_in_force_is_told(well: Observed) -> None:
    kinds = {warning for warning in well.heard if "apostille-kinds" in warning}
    (check,) = of(replace(well, heard=frozenset(kinds)), "selection")
    assert (check.level, "1 webhook configuration not in force" in check.message) == (Level.WARN, True)


def test_what_is_selected_without_a_binding_is_told(well: Observed) -> None:
    (check,) = of(replace(well, bindings=()), "selection")
    assert (check.level, "not bound any more" in check.message) == (Level.WARN, True)


def test_certificates_are_told_before_they_end(well: Observed, bundle: str) -> None:
    (end,) = certificates.ends(base64.b64decode(bundle).decode())
    at = {timedelta(days=30): "ok", timedelta(days=3): "warn", timedelta(days=-1): "fail"}
    for left, level in at.items():
        (check,) = of(well, "certificates", end - left)
        assert check.level == level
        assert f"{end:%Y-%m-%d}" in check.message


@pytest.mark.parametrize(
    "broken",
    ["", "Q0E=", "!", base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----").decode()],
)
def test_a_bundle_that_is_none_is_a_failure(well: Observed, broken: str) -> None:
    webhook = {"clientConfig": {"url": "https://a", "caBundle": broken}}
    configuration = {"metadata": {"name": "apostille-pods-0"}, "webhooks": [webhook]}
    (check,) = of(replace(well, configurations=[configuration]), "certificates")
    assert (check.level, "apostille-pods-0" in check.message) == (Level.FAIL, True)


def test_what_is_not_ready_is_named_with_its_remedy_and_the_worst_comes_first(well: Observed) -> None:
    suspended = [
        decode.workload_binding(ready(raw_binding(f"b{i}"), "False", "Suspended", "spec.suspended is set"))
        for i in range(9)
    ]
    lost = decode.workload_binding(ready(raw_binding("lost"), "False", "TrustNotFound", "there is none"))
    broken = Unreadable("WorkloadBinding", raw_binding("broken"), "spec.target: name exactly one target")
    found = of(replace(well, bindings=[*well.bindings, *suspended, lost, broken]), "bindings")
    assert [check.level for check in found] == ["fail", "fail", "fail", "warn", "warn", "warn", "warn"]
    assert found[0].message == "1 of 12 are Ready"
    assert {found[1].message[:15], found[2].message[:15]} == {"payments/lost: ", "payments/broken"}
    assert "and 6 more" in found[-1].message
    assert all(check.fix for check in found)


def test_what_may_not_be_read_is_unknown_and_no_failure(well: Observed) -> None:
    found = of(replace(well, unread={"trusts": "forbidden"}), "selection")
    assert [(check.level, "trusts: forbidden" in check.message) for check in found] == [(Level.UNKNOWN, True)]


def test_one_line_a_check(well: Observed) -> None:
    told = lines(examine(replace(well, lease=None), NOW))
    assert all("\n" not in line for line in told)
    (failed,) = [line for line in told if line.startswith("FAIL")]
    assert ". Fix: kubectl logs -n apostille-system deployment/apostille-controller" in failed
