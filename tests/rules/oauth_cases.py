"""Cases of the catalogue for OAuth token services: what breaks a rule, and its innocent neighbour."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from apostille.core.judge import judge_trust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.finding import Finding
from apostille.parties.oauth.documents import OAuthAccess
from apostille.parties.oauth.party import OAuth
from apostille.parties.oauth.rules import documents
from builders import CONTEXT, ISSUER
from oauth_declarations import oauth_binding, oauth_trust

Findings = Callable[[], Iterable[Finding]]

_PARTY = OAuth()
_WHERE = "spec.relyingParty.oauth"


def _trust(profile: str, settings: dict[str, Any] | None = None, **spec: Any) -> Findings:
    return lambda: judge_trust(oauth_trust(profile, settings=settings, **spec), (), CONTEXT)


def _targets(*targets: dict[str, Any], profile: str = "TokenExchange") -> Findings:
    named = [{"name": f"t{i}", **target} for i, target in enumerate(targets)]
    allow = [{"namespace": "payments", "serviceAccounts": ["reader"], "targets": [named[0]["name"]]}]
    return _trust(profile, {"targets": named}, allow=allow)


def _bound(profile: str, *bindings: WorkloadBinding) -> Findings:
    view, views = oauth_trust(profile).view, [one.view(_PARTY) for one in bindings]
    return lambda: [
        *_PARTY.findings(view, views, ISSUER),
        *(finding for limit in _PARTY.limits(view, views, ISSUER) for finding in limit.findings("spec.allow")),
    ]


def _allowed(target: str) -> Findings:
    return _trust("Hydra", allow=[{"namespace": "payments", "serviceAccounts": ["reader"], "targets": [target]}])


def _hydra(first: list[str], second: list[str]) -> Findings:
    return _targets(
        {"clientID": "a", "scopes": first}, {"clientID": "b", "scopes": second}, profile="Hydra"
    )  # fmt: skip


def _trusts(any_subject: bool) -> Findings:
    one = {"subject": "system:serviceaccount:a:b", "allow_any_subject": any_subject}
    return lambda: documents(OAuthAccess({"service.json": {"profile": "Hydra"}, "trust-a.json": one}))


def _life(seconds: int) -> Findings:
    files = {"service.json": {"profile": "Anthropic"}, "provider.json": {"max_jwt_lifetime_seconds": seconds}}
    return lambda: documents(OAuthAccess(files))


CASES: dict[str, tuple[str, Findings, Findings]] = {
    "OAU101": ("spec.allow[0].targets[0]", _allowed("other"), _allowed("reports")),
    "OAU102": (
        f"{_WHERE}.organizationID",
        _trust("Anthropic", {"organizationID": ""}),
        _trust("Anthropic"),
    ),
    "OAU103": (
        f"{_WHERE}.targets[1].name",
        _targets({"name": "t0", "audience": "a"}, {"name": "t0", "audience": "b"}),
        _targets({"audience": "a"}, {"audience": "b"}),
    ),
    "OAU104": (f"{_WHERE}.targets[0]", _targets({"clientID": "c"}), _targets({"scopes": ["read"]})),
    "OAU105": (
        "spec.ceilings.assertionSeconds",
        _trust("Hydra", ceilings={"assertionSeconds": 3601, "sessionSeconds": 3600}),
        _trust("Hydra", ceilings={"assertionSeconds": 3600, "sessionSeconds": 3600}),
    ),
    "OAU106": (
        "spec.allow",
        _bound("Kernel", oauth_binding(), oauth_binding("o", "orders")),
        _bound("Kernel", oauth_binding(), oauth_binding("o", "orders", "reports")),
    ),
    "OAU107": (f"{_WHERE}.targets[0].scopes", _hydra(["a"], ["a", "b"]), _hydra(["a"], ["b"])),
    "OAU201": ("trust-a.json:subject", _trusts(any_subject=True), _trusts(any_subject=False)),
    "OAU202": ("provider.json:max_jwt_lifetime_seconds", _life(176401), _life(176400)),
}
