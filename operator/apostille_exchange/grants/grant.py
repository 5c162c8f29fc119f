"""The interface of a grant: how one kind of relying party is asked, and how its answer is read. Pure.

What holds for every grant is done outside it: redirects, sizes and times (`transport`), ``Retry-After``, the ceiling of
a credential's life and of its assertion's (`exchange`). What a reply must be is the grant's; most find it in `oauth`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from apostille_exchange.assertion import Assertion
from apostille_exchange.credential import Credential
from apostille_exchange.messages import Endpoint, Reply, Request
from apostille_exchange.recipe import Admission, RecipeError
from apostille_exchange.schedule import REFRESH_AT


@dataclass(frozen=True, slots=True)
class Site:
    """A relying party as the pod was admitted to it: ``endpoint`` and ``endpoints`` are the admission's, read."""

    admission: Admission
    endpoint: Endpoint
    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ask:
    """One exchange: ``parameters`` went through `Grant.check`, ``session_seconds`` lies within the ceilings."""

    site: Site
    parameters: Mapping[str, str]
    session_seconds: int
    assertion: Assertion


@dataclass(frozen=True, slots=True)
class Further:
    """A reply that is not the end: ``request`` goes out next, and its reply to `Grant.read_further`.

    ``values`` is what the grant wants back then.
    """

    request: Request
    values: Mapping[str, str] = field(default_factory=dict, repr=False)


class Grant:
    """One way to exchange."""

    # A class and not a typing.Protocol: importing typing would cost half a MiB in every pod.
    yields: tuple[str, ...] = ("token",)
    """Names of a credential's values, which say what files and endpoints it can be delivered by."""
    shortest_seconds: int = 1
    """No shorter credential is granted there."""
    endpoints: Mapping[str, bool] = {}
    """Names of further endpoints → whether an admission must have them."""
    settings: Mapping[str, bool] = {}
    """Names of settings that are frozen at admission → whether it must have them."""
    renewable = False
    """A held credential can be made to last longer without an assertion."""
    revocable = False
    """It can be taken back, which is done when it ends or is replaced."""
    single_use = False
    """Each assertion is taken once: none that was is presented again."""
    local = False
    """Nobody is asked: `itself` is all of the exchange, and is done again with every new assertion."""
    refresh_at = REFRESH_AT
    """The share of a credential's life after which it is renewed."""

    def admit(self, admission: Admission, where: str = "admission") -> None:
        """Raises RecipeError for an admission that cannot be served, whatever the recipe."""
        for field_name, known, given in (
            ("endpoints", self.endpoints, admission.endpoints),
            ("settings", self.settings, admission.settings),
        ):
            for name in given:
                if name not in known:
                    raise RecipeError(f"{where}.{field_name}.{name}: not known to this version")
            for name, needed in known.items():
                if needed and not given.get(name):
                    raise RecipeError(f"{where}.{field_name}.{name}: {admission.grant} needs it")

    def check(self, parameters: Mapping[str, str], where: str) -> None:
        """Raises RecipeError, naming the field, for parameters that are missing, malformed or not known.

        Not known is refused rather than ignored: it might narrow what is asked for.
        """
        raise NotImplementedError

    def itself(self, ask: Ask) -> Credential:
        """The credential of a grant that is ``local``. Raises ExchangeError."""
        raise NotImplementedError

    def request(self, ask: Ask) -> Request:
        """The first request, to ``ask.site.endpoint``."""
        raise NotImplementedError

    def read(self, reply: Reply, ask: Ask) -> Credential | Further:
        """The credential of a complete reply to exactly this request. Raises ExchangeError for anything else."""
        raise NotImplementedError

    def read_further(self, reply: Reply, ask: Ask, before: Further) -> Credential | Further:
        """The same for the reply to a further request."""
        raise NotImplementedError

    def renewal(self, site: Site, credential: Credential) -> Request:
        """The request that makes a held credential last longer."""
        raise NotImplementedError

    def renewed(self, reply: Reply, credential: Credential) -> Credential | None:
        """The credential as it lasts now; None where a new exchange is due. Raises ExchangeError."""
        raise NotImplementedError

    def revocation(self, site: Site, credential: Credential, assertion: Assertion | None) -> Request:
        """The request that ends a credential; ``assertion`` is the one that is there now, if any."""
        raise NotImplementedError

    def revoked(self, reply: Reply, credential: Credential) -> None:
        """Returns when the credential is no more. Raises ExchangeError."""
        raise NotImplementedError
