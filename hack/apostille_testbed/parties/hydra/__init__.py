"""Ory Hydra as a relying party: a real server."""

from apostille_testbed.parties.stands import Stands

STANDS = Stands("OAuth", "a real Ory Hydra", cluster="rotation")
