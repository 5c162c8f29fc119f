"""HCP, with and without instances."""

from __future__ import annotations

from samples.bad_input import Bad
from samples.sample import Sample
from vendors import PROJECT, hcp_binding, hcp_trust

_TARGETS = tuple({"hcp": {"servicePrincipal": name}} for name in ("payments-reader", "abc", "x-1-y"))
SAMPLES = {
    "HCP": Sample(hcp_trust(), hcp_binding, _TARGETS),
    "HCP with instances": Sample(hcp_trust(settings={"pinInstances": True}), hcp_binding, _TARGETS),
}
BAD = {
    "a project by its name": Bad({"projectID": "payments"}),
    "a provider that is too short": Bad({"provider": "ab"}),
    "a service principal by its resource name": Bad(target=f"iam/project/{PROJECT}/service-principal/payments-reader"),
    "a service principal in upper case": Bad(target="Payments"),
}
