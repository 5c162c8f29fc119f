"""The formats by the name that an output uses. A new one is a module with ``render`` here and a line below."""

from __future__ import annotations

from collections.abc import Callable

from apostille_exchange.credential import Credential
from apostille_exchange.deliver.stamp import Stamp
from apostille_exchange.recipe import RecipeError

Render = Callable[[Credential, Stamp], str]

_FORMATS = {"aws-credentials": "aws_credentials"}


def load(name: str) -> Render:
    """Raises RecipeError for a format that this version does not have."""
    if name not in _FORMATS:
        raise RecipeError(f"admission.outputs.format: {name!r} is not known to this version ({', '.join(_FORMATS)})")
    from importlib import import_module

    render: Render = import_module(f"apostille_exchange.deliver.{_FORMATS[name]}").render
    return render
