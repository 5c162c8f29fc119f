"""The formats by the name that an output uses. A new one is a module with ``render`` here and a line below.

A module whose text has no place for a stamp says ``STAMP_BESIDE = True``; one from whose text a credential can be
taken up again after a restart has ``read``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from apostille_exchange.credential import Credential
from apostille_exchange.deliver.stamp import Stamp
from apostille_exchange.recipe import RecipeError

_FORMATS = {"aws-credentials": "aws_credentials", "token": "token"}


class Format:
    """``beside``: the stamp lies in a file beside the credential."""

    def __init__(
        self,
        render: Callable[[Credential, Stamp], str],
        beside: bool = False,
        read: Callable[[str], Mapping[str, str] | None] | None = None,
    ) -> None:
        self.render, self.beside, self.read = render, beside, read


def load(name: str) -> Format:
    """Raises RecipeError for a format that this version does not have."""
    if name not in _FORMATS:
        raise RecipeError(f"admission.outputs.format: {name!r} is not known to this version ({', '.join(_FORMATS)})")
    from importlib import import_module

    module = import_module(f"apostille_exchange.deliver.{_FORMATS[name]}")
    return Format(module.render, getattr(module, "STAMP_BESIDE", False), getattr(module, "read", None))
