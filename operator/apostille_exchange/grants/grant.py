"""The interface of a grant: how one kind of relying party is asked, and how its answer is read. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from apostille_exchange.assertion import Assertion
from apostille_exchange.credential import Credential
from apostille_exchange.recipe import Admission
from apostille_exchange.transport import Endpoint, Reply


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A request about a credential that is held, to the host that granted it."""

    endpoint: Endpoint
    form: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)


class Grant:
    """``shortest_seconds``: no shorter credential is granted there. ``revocable``: it is taken back when it ends.

    Of a revocable credential there is one request more for its renewal and one for its revocation.
    """

    # A class and not a typing.Protocol: importing typing would cost half a MiB in every pod.
    shortest_seconds: int
    revocable = False

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

    def renewal(self, to: Endpoint, credential: Credential) -> FollowUp:
        """The request that makes a held credential last longer; ``to`` is the admission's endpoint."""
        raise NotImplementedError

    def renewed(self, reply: Reply, credential: Credential) -> Credential | None:
        """The credential as it lasts now; None where a new exchange is due. Raises ExchangeError."""
        raise NotImplementedError

    def revocation(self, to: Endpoint, credential: Credential) -> FollowUp:
        """The request that ends a credential."""
        raise NotImplementedError

    def revoked(self, reply: Reply, credential: Credential) -> None:
        """Returns when the credential is no more. Raises ExchangeError."""
        raise NotImplementedError
