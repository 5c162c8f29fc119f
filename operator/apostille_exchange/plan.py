"""The plan file: an annotation of the pod, written by the kubelet through a symlink swap."""

from __future__ import annotations

from apostille_exchange import recipe
from apostille_exchange.recipe import Plan, RecipeError


class PlanFile:
    """The last whole plan. What is absent, unreadable or truncated is waited for: it changes nothing."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: bytes | None = None
        self.problem = "not read yet"

    def changed(self) -> Plan | None:
        """A plan that is new since the last call, or None. ``problem`` then says why there is none, or is empty."""
        try:
            with open(self._path, "rb") as file:
                content = file.read(recipe.MAX_DOCUMENT_BYTES + 1)
        except OSError as error:
            self._seen, self.problem = None, error.strerror or type(error).__name__
            return None
        if content == self._seen:
            return None
        self._seen = content
        try:
            plan = recipe.loads(content.decode())
        except (RecipeError, UnicodeDecodeError) as error:
            self.problem = str(error) if isinstance(error, RecipeError) else "plan: not UTF-8"
            return None
        self.problem = ""
        return plan
