"""A refusal as the vendor words it."""

from __future__ import annotations


class Refused(Exception):
    """A request that AWS answers with an error: its ``code``, ``message`` and HTTP ``status``.

    Messages never hold a token or a secret: they go to clients, logs and test reports.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def invalid_token(message: str) -> Refused:
    """STS' InvalidIdentityToken (cloud-trust §3.3)."""
    return Refused("InvalidIdentityToken", message)
