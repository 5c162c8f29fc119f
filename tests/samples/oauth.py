"""OAuth token services of every profile, and with instances where there are any."""

from __future__ import annotations

from oauth_declarations import PROFILES, oauth_binding, oauth_trust
from samples.sample import Sample

_TARGETS = tuple({"oauth": {"name": name}} for name in ("api", "reports"))
SAMPLES = {f"OAuth {profile}": Sample(oauth_trust(profile), oauth_binding, _TARGETS) for profile in PROFILES} | {
    "OAuth Anthropic with instances": Sample(
        oauth_trust("Anthropic", settings={"pinInstances": True}), oauth_binding, _TARGETS
    )
}
