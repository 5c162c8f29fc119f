"""Cases of the catalogue for Keycloak: what breaks a rule, and its innocent neighbour."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from apostille.core.judge import judge_trust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.finding import Finding
from apostille.parties.keycloak.documents import KeycloakAccess
from apostille.parties.keycloak.party import Keycloak
from apostille.parties.keycloak.rules import documents
from builders import CONTEXT, ISSUER
from oauth_declarations import keycloak_binding, keycloak_trust

Findings = Callable[[], Iterable[Finding]]

_PARTY = Keycloak()


def _trust(**spec: Any) -> Findings:
    return lambda: judge_trust(keycloak_trust(**spec), (), CONTEXT)


def _targets(target: str) -> Findings:
    return _trust(allow=[{"namespace": "payments", "serviceAccounts": ["reader"], "targets": [target]}])


def _bound(*bindings: WorkloadBinding) -> Findings:
    view, views = keycloak_trust().view, [one.view(_PARTY) for one in bindings]
    return lambda: [
        *_PARTY.findings(view, views, ISSUER),
        *(finding for limit in _PARTY.limits(view, views, ISSUER) for finding in limit.findings("spec.allow")),
    ]


def _client(**changes: Any) -> Findings:
    made = _PARTY.access(keycloak_trust().view, [keycloak_binding().view(_PARTY)], ISSUER)
    (good,) = made.clients.values()
    attributes = {**good["attributes"], **changes.pop("attributes", {})}
    client = {**good, "attributes": attributes, **changes}
    return lambda: documents(KeycloakAccess(made.realm, made.providers, {"c": client}))


def _provider(reuse: str) -> Findings:
    config = {"jwtAuthorizationGrantAssertionReuseAllowed": reuse}
    provider = {"providerId": "jwt-authorization-grant", "config": config}
    return lambda: documents(KeycloakAccess({}, {"p": provider}, {}))


def _account(name: str) -> dict[str, Any]:
    return {"attributes": {"jwt.credential.sub": f"system:serviceaccount:a:{name}"}}


CASES: dict[str, tuple[str, Findings, Findings]] = {
    "KEY101": ("spec.allow[0].targets[0]", _targets("Reader"), _targets("reader")),
    "KEY102": (
        "spec.ceilings.assertionSeconds",
        _trust(ceilings={"assertionSeconds": 3601}),
        _trust(ceilings={"assertionSeconds": 3600}),
    ),
    "KEY103": ("spec.audience", _trust(audience="https://keycloak.example/realms/Payments"), _trust()),
    "KEY104": (
        "spec.allow",
        _bound(keycloak_binding(), keycloak_binding("o", "orders")),
        _bound(keycloak_binding(), keycloak_binding("o", "orders", "orders-reader")),
    ),
    "KEY105": (
        "spec.allow",
        _bound(keycloak_binding(), keycloak_binding("o", client="another")),
        _bound(keycloak_binding(), keycloak_binding("o")),
    ),
    "KEY201": ("client-c.json:fullScopeAllowed", _client(fullScopeAllowed=True), _client()),
    "KEY202": (
        "client-c.json:clientAuthenticatorType",
        _client(clientAuthenticatorType="client-secret"),
        _client(clientAuthenticatorType="federated-jwt"),
    ),
    "KEY203": ("client-c.json:attributes", _client(attributes={"jwt.credential.sub": ""}), _client()),
    "KEY204": ("client-c.json:attributes", _client(**_account("default")), _client(**_account("defaults"))),
    "KEY205": ("client-c.json:standardFlowEnabled", _client(standardFlowEnabled=True), _client()),
    "KEY206": ("identity-provider-p.json:config", _provider("false"), _provider("true")),
}
