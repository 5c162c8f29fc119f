"""A small XML document as its leaves. No DTD, no entities, bounded."""

from __future__ import annotations

from xml.parsers import expat

_MAX_ELEMENTS = 200
_MAX_DEPTH = 12


def members(document: bytes, root: str, namespace: str) -> dict[str, str]:
    """The text of every leaf by its path below ``root``: ``{"Error/Code": "AccessDenied", …}``.

    Raises ValueError for what is not well-formed, has another root or namespace, declares anything (DTD), holds an
    element twice, or is larger than any reply of this kind.
    """
    reader = _Reader(root, namespace)
    try:
        reader.parser.Parse(document, True)
    except (expat.ExpatError, UnicodeError, LookupError):
        raise ValueError("not well-formed XML") from None
    return reader.leaves


class _Reader:
    def __init__(self, root: str, namespace: str) -> None:
        self._root = root
        self._namespace = namespace
        self._path: list[str] = []
        self._texts: list[str] = []
        self._parents: set[str] = set()
        self._seen: set[str] = set()
        self.leaves: dict[str, str] = {}
        # The encoding is ours to say: the document's own declaration is the sender's.
        self.parser = expat.ParserCreate("utf-8", namespace_separator=" ")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._declares
        self.parser.EntityDeclHandler = self._declares

    def _declares(self, *_: object) -> None:
        raise ValueError("an XML document type declaration")

    def _start(self, name: str, _: object) -> None:
        namespace, _, local = name.rpartition(" ")
        if namespace != self._namespace or (not self._path and local != self._root):
            raise ValueError(f"not a {self._root}")
        self._path.append(local)
        path = "/".join(self._path)
        if path in self._seen or len(self._seen) >= _MAX_ELEMENTS or len(self._path) > _MAX_DEPTH:
            raise ValueError(f"not the members of a {self._root}")
        self._seen.add(path)
        self._parents.add("/".join(self._path[:-1]))
        self._texts.clear()

    def _text(self, text: str) -> None:
        self._texts.append(text)

    def _end(self, _: str) -> None:
        path = "/".join(self._path)
        if path not in self._parents:
            self.leaves[path.partition("/")[2]] = "".join(self._texts).strip()
        self._texts.clear()
        self._path.pop()
