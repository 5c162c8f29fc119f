"""Cases of the catalogue for Alibaba Cloud: what breaks a rule, and its innocent neighbour."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from apostille.core.judge import Context, judge_trust
from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.parties.alibaba import rules
from builders import CONTEXT, ISSUER, allow
from samples.alibaba import PROVIDER, alibaba_binding, alibaba_trust, role

Findings = Callable[[], Iterable[Finding]]

_TRUST = alibaba_trust()
_AUD, _SUB = _TRUST.audience, "system:serviceaccount:payments:reader"
_EXACT = {"oidc:aud": _AUD, "oidc:iss": ISSUER.url, "oidc:sub": _SUB}
_POLICY = "role-payments-reader.json:AssumeRolePolicyDocument"
_CONDITION = f"{_POLICY}.Statement[0].Condition"


def _of(settings: dict[str, Any] | None = None, issuer: str = ISSUER.url, **spec: Any) -> Findings:
    context = Context(Issuer(issuer), CONTEXT.own_namespace)
    return lambda: judge_trust(alibaba_trust(settings=settings, **spec), (), context)


def _to(target: str) -> Findings:
    return _of(allow=[allow(targets=[target])])


def _bound(*names: str) -> Findings:
    bindings = [alibaba_binding(f"b{i}", target={"alibaba": {"roleARN": role(name)}}) for i, name in enumerate(names)]
    views = [one.view(_TRUST.party) for one in bindings]
    return lambda: _TRUST.party.findings(_TRUST.view, views, ISSUER)


def _judged(condition: Any = None, **members: Any) -> Findings:
    """A rendered role with another statement in its policy."""
    party = _TRUST.party
    files = dict(party.render(party.access(_TRUST.view, [alibaba_binding().view(party)], ISSUER), "native"))
    document = json.loads(files["role-payments-reader.json"])
    policy = json.loads(document["AssumeRolePolicyDocument"])
    policy["Statement"][0] |= {"Condition": condition or {"StringEquals": _EXACT}, **members}
    files["role-payments-reader.json"] = json.dumps(document | {"AssumeRolePolicyDocument": policy})
    read: Any = party.parse(files)
    return lambda: rules.documents(read)


def _without(key: str) -> dict[str, Any]:
    return {"StringEquals": {name: value for name, value in _EXACT.items() if name != key}}


def _many(count: int) -> Findings:
    return _judged({"StringEquals": {**_EXACT, "oidc:sub": [f"{_SUB}-{i:03}" for i in range(count)]}})


_OWN = _judged()

CASES: dict[str, tuple[str, Findings, Findings]] = {
    "ALI101": ("spec.allow[0].targets[0]", _to("acs:ram::1234567890123456:user/reader"), _of()),
    "ALI102": ("spec.allow[0].targets[0]", _to(role(account="6543210987654321")), _of()),
    "ALI103": (
        "spec.relyingParty.alibaba.accountID",
        _of({"accountID": "acme.onaliyun.com"}, allow=[]),
        _of({"accountID": "1234567890123456"}, allow=[]),
    ),
    "ALI104": ("spec.relyingParty.alibaba.region", _of({"region": "eu-west-9"}), _of({"region": "eu-west-1"})),
    "ALI105": ("spec.audience", _of(audience="_x"), _of(audience="x_")),
    "ALI106": ("spec.ceilings.sessionSeconds", _of(ceilings={"sessionSeconds": 3599}), _of()),
    "ALI201": ("spec.issuer", _of(issuer="http://oidc.example.com"), _of()),
    "ALI202": ("spec.issuer", _of(issuer="https://issuer.default.svc"), _of(issuer="https://issuer.svc.example")),
    "ALI203": ("spec.allow", _bound("reader", "Reader"), _bound("reader", "reader2")),
    "ALI301": (_CONDITION, _judged(_without("oidc:aud")), _OWN),
    "ALI302": (_CONDITION, _judged(_without("oidc:sub")), _OWN),
    "ALI303": (
        f"{_CONDITION}.StringLike",
        _judged({**_without("oidc:sub"), "StringLike": {"oidc:sub": "system:serviceaccount:payments:*"}}),
        _judged({**_without("oidc:sub"), "StringLike": {"oidc:sub": _SUB}}),
    ),
    "ALI304": (
        f"{_CONDITION}.StringNotEquals",
        _judged({**_without("oidc:sub"), "StringNotEquals": {"oidc:sub": "x"}}),
        _OWN,
    ),
    "ALI305": (
        f"{_POLICY}.Statement[0].Principal",
        _judged(Principal={"Federated": [PROVIDER, f"{PROVIDER}-2"]}),
        _judged(Principal={"Federated": [PROVIDER]}),
    ),
    "ALI306": (
        f"{_CONDITION}.StringEquals",
        _judged({"StringEquals": {**_EXACT, "oidc:aud": "https://other.example"}}),
        _OWN,
    ),
    "ALI307": (_POLICY, _many(60), _many(10)),
}
