"""Files as a commit holds them, by git itself: nothing is checked out and nothing in the repository is touched."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence

from apostille.cli.files import MAX_FILE, wanted
from apostille.lint.text import Problem

_REGULAR = ("100644", "100755")


class GitError(Exception):
    """What git says, in one line."""


def merge_base(ref: str) -> str:
    """The commit from which the working tree's branch and ``ref`` went apart; ``ref`` itself where they never met.

    Raises GitError.
    """
    commit = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}", what=f"no commit {ref}")
    try:
        return _git("merge-base", commit.strip(), "HEAD").strip()
    except GitError:
        return commit.strip()


def read(commit: str, paths: Sequence[str], exclude: Sequence[str] = ()) -> Iterator[tuple[str, bytes] | Problem]:
    """The files under ``paths``, named as from the working directory; see `files.read`. Raises GitError."""
    listed = _git("ls-tree", "-r", "-z", "-l", commit, "--", *(path.rstrip("/") or "/" for path in paths))
    blobs: dict[str, str] = {}
    large: list[str] = []
    for entry in listed.split("\0"):
        if not entry:
            continue
        told, _, name = entry.partition("\t")
        mode, _, blob, size = told.split()
        if mode in _REGULAR:
            if int(size) > MAX_FILE:
                large.append(name)
            else:
                blobs[name] = blob
    for name in large:
        yield Problem(name, 0, 0, f"more than {MAX_FILE >> 20} MiB")
    names = wanted(sorted(blobs), paths, exclude)
    contents = _contents([blobs[name] for name in names])
    yield from zip(names, contents, strict=True)


def _contents(blobs: Sequence[str]) -> list[bytes]:
    if not blobs:
        return []
    done = subprocess.run(
        ["git", "cat-file", "--batch"], input="".join(f"{blob}\n" for blob in blobs).encode(), capture_output=True,
        check=False, env=_environment(),
    )  # fmt: skip
    if done.returncode != 0:
        raise GitError(_said(done.stderr))
    found, at = [], 0
    for _ in blobs:
        # "SHA blob SIZE" and a line end, the content, a line end (git-cat-file, BATCH OUTPUT)
        end = done.stdout.index(b"\n", at)
        size = int(done.stdout[at:end].rsplit(b" ", 1)[1])
        found.append(done.stdout[end + 1 : end + 1 + size])
        at = end + 1 + size + 1
    return found


def _git(*arguments: str, what: str = "") -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False, env=_environment())
    except FileNotFoundError:
        raise GitError("git is not on the PATH") from None
    if done.returncode != 0:
        raise GitError(what or _said(done.stderr))
    return done.stdout.decode(errors="surrogateescape")


def _environment() -> dict[str, str]:
    # Reading only: no index is refreshed, nobody is asked for anything.
    return {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def _said(error: bytes) -> str:
    return (error.decode(errors="replace").strip().splitlines() or ["git failed"])[-1]
