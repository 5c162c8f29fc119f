"""Runs what the story shows: the command on the page is the command that is run."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from apostille_demo.page import Page

WITHIN = 60.0
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
_PAUSE = 0.2
_TIMEOUT = 150.0


class StepFailed(Exception):
    """Something came out otherwise than the story says.

    ``ran`` is the command, ``saw`` its output, ``expected`` in words what should have come.
    """

    def __init__(self, ran: str, saw: str, expected: str) -> None:
        super().__init__(f"{ran}: expected {expected}")
        self.ran = ran
        self.saw = saw
        self.expected = expected


class Shell:
    """A shell in the checkout with the cluster's KUBECONFIG. ``environment`` is its whole environment."""

    def __init__(self, page: Page, folder: Path, environment: Mapping[str, str]) -> None:
        self._page = page
        self._folder = folder
        self._environment = environment

    @property
    def kubeconfig(self) -> str:
        """The file that its kubectl uses."""
        return self._environment["KUBECONFIG"]

    def show(
        self,
        command: str,
        *,
        shows: str = "",
        fails: bool = False,
        within: float = 0.0,
        only: str = "",
    ) -> str:
        """Prints the command, runs it, prints what it wrote; returns that.

        Args:
            shows: a regular expression that must be found in the output.
            fails: the command must fail; else it must not.
            within: seconds to try again until it is so; what is printed is the last try.
            only: a regular expression; other lines are left out, which is shown by ``…``.

        Raises:
            StepFailed: it was not so.
        """
        self._page.command(command)
        text = self.run(command, shows=shows, fails=fails, within=within)
        self._page.output(_only(text.splitlines(), only))
        return text

    def run(self, command: str, *, shows: str = "", fails: bool = False, within: float = 0.0) -> str:
        """`show` without a word."""
        give_up = time.monotonic() + within
        while True:
            code, text = self._once(command)
            if (code != 0) == fails and re.search(shows, text, re.MULTILINE):
                return text
            if time.monotonic() >= give_up:
                expected = "a refusal" if fails else "success"
                raise StepFailed(command, text, f"{expected} with {shows!r}" if shows else expected)
            time.sleep(_PAUSE)

    def _once(self, command: str) -> tuple[int, str]:
        try:
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=_TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            raise StepFailed(command, "nothing", f"an answer within {_TIMEOUT:g} s") from None
        # No token on the page or in a message, whatever was granted against expectation.
        return done.returncode, _TOKEN.sub("(a token, not shown)", done.stdout)


def _only(lines: list[str], pattern: str) -> list[str]:
    kept: list[str] = []
    for line in lines:
        if re.search(pattern, line):
            kept.append(line)
        elif not kept or kept[-1] != "…":
            kept.append("…")
    return kept
