"""The interface of a grant: how one kind of relying party is asked, and how its answer is read. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from apostille_exchange.assertion import Assertion
from apostille_exchange.credential import Credential
from apostille_exchange.recipe import Admission
from apostille_exchange.transport import Reply


class Grant:
    """``shortest_seconds``: no shorter credential is granted there."""

    # A class and not a typing.Protocol: importing typing would cost half a MiB in every pod.
    shortest_seconds: int

    def check(self, parameters: Mapping[str, str], where: str) -> None:
        """Raises RecipeError, naming the field, for parameters that are missing, malformed or not known.

        Not known is refused rather than ignored: it might narrow what is asked for.
        """
        raise NotImplementedError

    def form(self, parameters: Mapping[str, str], session_seconds: int, assertion: Assertion) -> dict[str, str]:
        """The request's form."""
        raise NotImplementedError

    def read(
        self, reply: Reply, admission: Admission, parameters: Mapping[str, str], assertion: Assertion
    ) -> Credential:
        """The credential of a complete reply to exactly this request. Raises ExchangeError for anything else."""
        raise NotImplementedError
