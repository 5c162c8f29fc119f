"""Vault, with and without instances."""

from __future__ import annotations

from samples.sample import Sample
from self_hosted import vault_binding, vault_trust

_TARGETS = tuple({"vault": {"role": name}} for name in ("a", "b", "c.d-e_f"))
SAMPLES = {
    "Vault": Sample(vault_trust(), vault_binding, _TARGETS),
    "Vault with instances": Sample(vault_trust(settings={"pinInstances": True}), vault_binding, _TARGETS),
}
