"""All credential files of one binding."""

from __future__ import annotations

from collections.abc import Mapping

from apostille_exchange.credential import Credential
from apostille_exchange.deliver import files, formats
from apostille_exchange.deliver.stamp import Stamp
from apostille_exchange.recipe import Admission


class Outputs:
    """Raises RecipeError for a format that this version does not have."""

    def __init__(self, admission: Admission) -> None:
        self._formats = [(output, formats.load(output.format)) for output in admission.outputs]

    def write(self, credential: Credential, stamp: Stamp) -> None:
        """Raises OSError."""
        for output, form in self._formats:
            files.write(output.path, form.render(credential, stamp), output.mode)
            if form.beside:
                # After the credential: until then the stamp of the last one makes a restart renew too early at worst.
                files.write(files.beside(output.path), f"{stamp}\n", output.mode)

    def remove(self) -> None:
        """Raises OSError unless all are gone."""
        for output, _ in self._formats:
            files.remove(output.path)

    def sweep(self) -> None:
        """Removes what a killed writer left. Raises OSError."""
        for output, _ in self._formats:
            files.sweep(output.path)

    def stamp(self) -> Stamp | None:
        """The stamp of a credential that every file holds; None when one is missing or differs."""
        stamps = {files.stamp(output.path) for output, _ in self._formats}
        return stamps.pop() if len(stamps) == 1 else None

    def read(self) -> Mapping[str, str] | None:
        """The values of the credential that the files hold; None where no format gives them back."""
        for output, form in self._formats:
            if form.read is not None:
                return form.read(files.content(output.path))
        return None
