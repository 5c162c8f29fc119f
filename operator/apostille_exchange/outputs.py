"""All credential files of one binding."""

from __future__ import annotations

import os
from collections.abc import Mapping

from apostille_exchange.credential import Credential
from apostille_exchange.deliver import files, formats
from apostille_exchange.deliver.stamp import Stamp
from apostille_exchange.recipe import Admission


class Outputs:
    """Several files of one directory switch together; files of several directories in the order of the admission.

    Raises RecipeError for a format that this version does not have, or that ``yields`` has not the values for.
    """

    def __init__(self, admission: Admission, yields: tuple[str, ...]) -> None:
        self._formats = [(output, formats.load(output, yields)) for output in admission.outputs]
        directories = {os.path.dirname(output.path) for output in admission.outputs}
        self._set = directories.pop() if len(directories) == 1 and len(admission.outputs) > 1 else ""

    def write(self, credential: Credential, stamp: Stamp) -> None:
        """Raises OSError."""
        contents: dict[str, tuple[str, int]] = {}
        for output, form in self._formats:
            contents[output.path] = (form.render(credential, stamp), output.mode)
            if form.beside:
                # After the credential: until then the stamp of the last one makes a restart renew too early at worst.
                contents[files.beside(output.path)] = (f"{stamp}\n", output.mode)
        if self._set:
            from apostille_exchange.deliver import file_set

            file_set.write(self._set, {os.path.basename(path): content for path, content in contents.items()})
            return
        for path, (text, mode) in contents.items():
            files.write(path, text, mode)

    def remove(self) -> None:
        """Raises OSError unless all are gone."""
        if self._set:
            from apostille_exchange.deliver import file_set

            file_set.remove(self._set)
        for output, _ in self._formats:
            files.remove(output.path)

    def sweep(self) -> None:
        """Removes what a killed writer left. Raises OSError."""
        if self._set:
            from apostille_exchange.deliver import file_set

            file_set.sweep(self._set)
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
