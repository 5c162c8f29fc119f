"""Vault, with and without instances."""

from __future__ import annotations

from samples.bad_input import Bad
from samples.sample import Sample
from self_hosted import vault_binding, vault_trust

_TARGETS = tuple({"vault": {"role": name}} for name in ("a", "b", "c.d-e_f"))
SAMPLES = {
    "Vault": Sample(vault_trust(), vault_binding, _TARGETS),
    "Vault with instances": Sample(vault_trust(settings={"pinInstances": True}), vault_binding, _TARGETS),
}
BAD = {
    "an address with the API's path": Bad({"address": "https://vault.example:8200/v1"}),
    "an address without TLS": Bad({"address": "http://vault.example:8200"}),
    "the API server's address": Bad({"address": "https://kubernetes.default.svc"}),
    "a mount with its prefix": Bad({"mount": "auth/jwt/"}),
    "a role's path": Bad(target="auth/jwt/role/reader"),
    "a role that may do anything": Bad({"roles": [{"name": "payments-reader", "policies": ["root"]}]}),
}
