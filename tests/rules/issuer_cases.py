"""Cases of the catalogue for the issuer and its keys: what breaks a rule, and its innocent neighbour."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from apostille.core.judge import Context, judge_trust
from apostille.kube import issuer as discovery
from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.rules.keys import key_set
from builders import ISSUER
from self_hosted import vault_trust

Findings = Callable[[], Iterable[Finding]]

KEY = {"kty": "RSA", "kid": "key-1", "alg": "RS256", "n": "n", "e": "AQAB"}


def _discovered(url: str, token_issuer: str = "") -> Findings:
    return lambda: discovery.findings(url, {"keys": [KEY]}, {"iss": token_issuer or url})


def keys(*keys: dict[str, Any], issuer: Issuer | None = None) -> Findings:
    return lambda: key_set({"keys": list(keys)}, "jwks.json", issuer)


def _vault_of(url: str) -> Findings:
    return lambda: judge_trust(vault_trust(), (), Context(Issuer(url), "apostille-system"))


CASES: dict[str, tuple[str, Findings, Findings]] = {
    "APO701": (
        "spec.issuer",
        _discovered("https://a.example", "https://a.example/"),
        _discovered("https://a.example/", "https://a.example/"),
    ),
    "APO702": ("spec.issuer", _discovered("http://a.example"), _discovered("https://a.example")),
    "APO703": (
        "spec.issuer",
        _vault_of("https://kubernetes.default.svc.cluster.local"),
        _vault_of("https://kubernetes.cluster-a.example"),
    ),
    "APO704": ("jwks.json.keys[0]", keys({**KEY, "d": "secret"}), keys(KEY)),
    "APO705": ("jwks.json.keys[0].alg", keys({**KEY, "alg": "HS256"}), keys({**KEY, "alg": "ES256"})),
    "APO706": ("jwks.json.keys", keys({**KEY, "kid": "old"}, issuer=ISSUER), keys(KEY, issuer=ISSUER)),
}
