"""All credential files of one binding."""

from __future__ import annotations

from apostille_exchange.credential import Credential
from apostille_exchange.deliver import files, formats
from apostille_exchange.deliver.stamp import Stamp
from apostille_exchange.recipe import Admission


class Outputs:
    """Raises RecipeError for a format that this version does not have."""

    def __init__(self, admission: Admission) -> None:
        self._renders = [(output, formats.load(output.format)) for output in admission.outputs]

    def write(self, credential: Credential, stamp: Stamp) -> None:
        """Raises OSError."""
        for output, render in self._renders:
            files.write(output.path, render(credential, stamp), output.mode)

    def remove(self) -> None:
        """Raises OSError unless all are gone."""
        for output, _ in self._renders:
            files.remove(output.path)

    def sweep(self) -> None:
        """Removes what a killed writer left. Raises OSError."""
        for output, _ in self._renders:
            files.sweep(output.path)

    def stamp(self) -> Stamp | None:
        """The stamp of a credential that every file holds; None when one is missing or differs."""
        stamps = {files.stamp(output.path) for output, _ in self._renders}
        return stamps.pop() if len(stamps) == 1 else None
