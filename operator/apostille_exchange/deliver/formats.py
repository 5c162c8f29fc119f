"""The formats by the name that an output uses. A new one is a module with ``render`` here and a line below.

A module whose text has no place for a stamp says ``STAMP_BESIDE = True``; one from whose text a credential can be
taken up again after a restart has ``read``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from apostille_exchange.credential import Credential
from apostille_exchange.deliver.stamp import Stamp
from apostille_exchange.recipe import Output, RecipeError

_KEYS = ("AccessKeyId", "SecretAccessKey", "SessionToken")

# Name → (module, values of a credential that it cannot do without).
_FORMATS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "aws-credentials": ("aws_credentials", _KEYS),
    "aws-process": ("aws_process", _KEYS),
    "dotenv": ("dotenv", ()),
    "json": ("json_object", ()),
    "kept": ("kept", ()),
    "token": ("token", ("token",)),
}


class Format:
    """``beside``: the stamp lies in a file beside the credential."""

    def __init__(
        self,
        render: Callable[[Credential, Stamp], str],
        beside: bool = False,
        read: Callable[[str], Mapping[str, str] | None] | None = None,
    ) -> None:
        self.render, self.beside, self.read = render, beside, read


def load(output: Output, yields: tuple[str, ...]) -> Format:
    """Raises RecipeError for a format that this version does not have, or that the grant has not the values for."""
    where = "admission.outputs.format"
    if output.format not in _FORMATS:
        raise RecipeError(f"{where}: {output.format!r} is not known to this version ({', '.join(_FORMATS)})")
    name, needs = _FORMATS[output.format]
    if missing := [value for value in needs if value not in yields]:
        raise RecipeError(f"{where}: {output.format} needs {', '.join(missing)}, which the grant does not yield")
    from importlib import import_module

    module = import_module(f"apostille_exchange.deliver.{name}")
    render = module.render
    if output.variable:
        if output.format != "dotenv":
            raise RecipeError(f"admission.outputs.variable: {output.format} has no variables")
        from functools import partial

        render = partial(render, variable=output.variable)
    return Format(render, getattr(module, "STAMP_BESIDE", False), getattr(module, "read", None))
