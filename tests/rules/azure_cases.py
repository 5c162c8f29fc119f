"""Cases of the catalogue for Microsoft Entra: what breaks a rule, and its innocent neighbour."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from apostille.core.judge import judge_trust
from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.parties.azure.documents import AzureAccess, Credential, Identity
from apostille.parties.azure.rules import judged
from builders import CONTEXT, ISSUER
from samples.azure import IDENTITIES, READER, TENANT, azure_binding, azure_trust, managed

Findings = Callable[[], Iterable[Finding]]

_WHERE = "spec.relyingParty.azure"
_GOOD = Credential("payments-reader", "https://i.example", "system:serviceaccount:payments:reader", ("a",))


def _trust(issuer: Issuer | None = None, spec: dict[str, Any] | None = None, **settings: Any) -> Findings:
    context = replace(CONTEXT, issuer=issuer) if issuer else CONTEXT
    return lambda: judge_trust(azure_trust(settings=settings, **(spec or {})), (), context)


def _allowed(target: str) -> Findings:
    allow = [{"namespace": "payments", "serviceAccounts": ["reader"], "targets": [target]}]
    return lambda: judge_trust(azure_trust(allow=allow), (), CONTEXT)


def _session(seconds: int, identities: list[dict[str, Any]]) -> Findings:
    allow = [{"namespace": "payments", "serviceAccounts": ["reader"], "targets": [identities[0]["clientID"]]}]
    return _trust(spec={"ceilings": {"sessionSeconds": seconds}, "allow": allow}, identities=identities)


def _bound(count: int) -> list[Finding]:
    by = azure_trust()
    views = [azure_binding(f"b{i}", subject={"serviceAccountNames": [f"a{i}"]}).view(by.party) for i in range(count)]
    limits = by.party.limits(by.view, views, ISSUER)
    found = [finding for limit in limits for finding in limit.findings("spec.allow")]
    return [*by.party.findings(by.view, views, ISSUER), *found]


def _credentials(*credentials: Credential) -> Findings:
    return lambda: judged(AzureAccess(TENANT, {READER: Identity(managed("x"), credentials)}))


def _file(name: str = "payments-reader") -> str:
    return f"identity-{READER}.json:{name}"


CASES: dict[str, tuple[str, Findings, Findings]] = {
    "AZU101": ("spec.allow[0].targets[0]", _allowed(READER.replace("a", "e")), _allowed(READER)),
    "AZU102": (f"{_WHERE}.tenantID", _trust(tenantID="example.onmicrosoft.com"), _trust(tenantID=TENANT)),
    "AZU103": (
        f"{_WHERE}.identities[0].resource", _trust(identities=[{**IDENTITIES[0], "resource": "payments-reader"},
                                                               *IDENTITIES[1:]]), _trust(),
    ),
    "AZU104": (f"{_WHERE}.identities[3].clientID", _trust(identities=[*IDENTITIES, IDENTITIES[0]]), _trust()),
    "AZU201": ("spec.issuer", _trust(Issuer("https://i.example?a")), _trust(Issuer("https://i.example/"))),
    "AZU202": ("spec.issuer", _trust(Issuer("https://10.0.0.1")), _trust(Issuer("https://i.example"))),
    "AZU203": ("spec.issuer", _trust(Issuer("https://i.example", algorithms=("ES256",))),
               _trust(Issuer("https://i.example", algorithms=("RS256",)))),
    "AZU204": ("spec.allow", lambda: _bound(21), lambda: _bound(20)),
    "AZU205": ("spec.ceilings.sessionSeconds", _session(5399, IDENTITIES[2:]), _session(5400, IDENTITIES[2:])),
    "AZU206": (_file(), _credentials(replace(_GOOD, audiences=("a", "b"))), _credentials(_GOOD)),
    "AZU207": (_file(), _credentials(replace(_GOOD, subject="system:serviceaccount:payments:*")), _credentials(_GOOD)),
    "AZU208": (_file("other"), _credentials(_GOOD, replace(_GOOD, name="other")),
               _credentials(_GOOD, replace(_GOOD, name="other", subject="system:serviceaccount:payments:other"))),
    "AZU209": (_file("ab"), _credentials(replace(_GOOD, name="ab")), _credentials(replace(_GOOD, name="a1b"))),
    "AZU210": (_file(), _credentials(replace(_GOOD, flexible="claims['sub'] matches '*'")), _credentials(_GOOD)),
}  # fmt: skip
