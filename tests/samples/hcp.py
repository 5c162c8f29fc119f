"""HCP, with and without instances."""

from __future__ import annotations

from samples.sample import Sample
from vendors import hcp_binding, hcp_trust

_TARGETS = tuple({"hcp": {"servicePrincipal": name}} for name in ("payments-reader", "abc", "x-1-y"))
SAMPLES = {
    "HCP": Sample(hcp_trust(), hcp_binding, _TARGETS),
    "HCP with instances": Sample(hcp_trust(settings={"pinInstances": True}), hcp_binding, _TARGETS),
}
