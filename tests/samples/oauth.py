"""OAuth token services of every profile, and with instances where there are any."""

from __future__ import annotations

from oauth_declarations import PROFILES, oauth_binding, oauth_trust
from samples.bad_input import Bad
from samples.sample import Sample

_TARGETS = tuple({"oauth": {"name": name}} for name in ("api", "reports"))
SAMPLES = {f"OAuth {profile}": Sample(oauth_trust(profile), oauth_binding, _TARGETS) for profile in PROFILES} | {
    "OAuth Anthropic with instances": Sample(
        oauth_trust("Anthropic", settings={"pinInstances": True}), oauth_binding, _TARGETS
    )
}
BAD = {
    "an endpoint without TLS": Bad({"tokenEndpoint": "http://sts.example/oauth2/token"}),
    "an endpoint in the cluster's metadata": Bad({"tokenEndpoint": "https://169.254.169.254/token"}),
    "a field of another profile": Bad({"organizationID": "org-1"}),
    "a profile without what it needs": Bad({"profile": "Hydra"}),
    "a target that is not described": Bad(target="admin"),
    "a target by its URL": Bad(target="https://api.example"),
}
