"""Ory Hydra as a relying party: a real server."""
