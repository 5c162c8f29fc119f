"""A command costs what it uses: nothing heavy is imported for what needs none of it."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from apostille.cli.main import COMMANDS

HEAVY = (
    "kubernetes",
    "aiohttp",
    "kopf",
    "asyncio",
    "yaml",
    "msgspec",
    "cryptography",
    "apostille.kinds",
    "apostille.kube",
)
SCRIPT = """
import sys
from apostille.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    print(ended.code, *(name for name in {heavy!r} if name in sys.modules), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    command = [sys.executable, "-c", SCRIPT.format(heavy=HEAVY), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.split() == ["0"]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_their_modules_say(name: str) -> None:
    module = importlib.import_module(f"apostille.cli.{name.replace('-', '_')}")
    assert (module.__doc__ or "").partition("\n")[0] == COMMANDS[name]
