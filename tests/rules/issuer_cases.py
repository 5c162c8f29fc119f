"""Cases of the catalogue for the issuer and its keys: what breaks a rule, and its innocent neighbour."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from apostille.core.judge import Context, judge_trust
from apostille.kube import issuer as discovery
from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.rules.keys import algorithms, key_set
from builders import ISSUER
from self_hosted import vault_trust

Findings = Callable[[], Iterable[Finding]]

_KEY = {"kty": "RSA", "kid": "key-1", "alg": "RS256", "n": "n", "e": "AQAB"}


def _discovered(url: str, token_issuer: str = "") -> Findings:
    return lambda: discovery.findings(url, {"keys": [_KEY]}, {"iss": token_issuer or url})


def _keys(*keys: dict[str, Any], issuer: Issuer | None = None) -> Findings:
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
    "APO704": ("jwks.json.keys[0]", _keys({**_KEY, "d": "secret"}), _keys(_KEY)),
    "APO705": ("jwks.json.keys[0].alg", _keys({**_KEY, "alg": "HS256"}), _keys({**_KEY, "alg": "ES256"})),
    "APO706": ("jwks.json.keys", _keys({**_KEY, "kid": "old"}, issuer=ISSUER), _keys(_KEY, issuer=ISSUER)),
}


def test_no_algorithm_of_no_proof_passes() -> None:
    told = [found.message for found in algorithms(["none", "None", "HS256", "hs512", "RS256", "EdDSA"], "p")]
    assert told == [f"{name} is among the algorithms" for name in ("none", "None", "HS256", "hs512")]


def test_a_key_of_a_rotation_is_told_on_both_sides() -> None:
    found = _keys({**_KEY, "kid": "key-0"}, issuer=ISSUER)()
    assert [finding.message for finding in found] == [
        "https://oidc.example.com/cluster-a signs with key-1, which is not there",
        "https://oidc.example.com/cluster-a does not publish key-0 any more",
    ]
