"""``docs/commands/``: one page a command, from its parser, so that page and ``--help`` cannot differ."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from apostille.cli.main import COMMANDS
from apostille_generate.markdown import NOTE, code, table

FOLDERS = ("docs/commands",)
# What runs in the cluster; the chart's values are where it is set.
PROCESSES = ("controller", "admission")


def files(root: Path) -> dict[str, str]:
    """Path to text."""
    pages = {f"docs/commands/{name}.md": _page(name) for name in COMMANDS}
    return {"docs/commands/README.md": _index(), **pages}


def _page(name: str) -> str:
    command = import_module(f"apostille.cli.{name.replace('-', '_')}")
    parser = argparse.ArgumentParser(prog=f"apostille {name}", add_help=False)
    command.arguments(parser)
    text = f"{NOTE}# apostille {name}\n\n{(command.__doc__ or '').strip()}\n"
    if example := getattr(command, "EXAMPLES", ""):
        text += f"\n```console\n{example.strip()}\n```\n"
    text += "\n" + table(("Argument", "Default", ""), _rows(parser))
    if epilog := getattr(command, "EPILOG", ""):
        text += f"\n{epilog[0].upper()}{epilog[1:]}.\n"
    return text + "\n[All commands](README.md)\n"


def _rows(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str, str]]:
    for action in parser._actions:
        value = action.metavar if isinstance(action.metavar, str) else ""
        if action.choices is not None:
            value = "|".join(map(str, action.choices))
        elif not value and action.nargs != 0:
            value = action.dest.upper()
        names = [f"{name} {value}".rstrip() for name in action.option_strings] or [value]
        default = "" if action.default in (None, False, "", []) else str(action.default)
        if action.required:
            default = "required"
        explained = (action.help or "").replace(" (default: %(default)s)", "").replace("default: %(default)s", "")
        yield ", ".join(map(code, names)), code(default) if default and not action.required else default, explained


def _index() -> str:
    def rows(names: Iterator[str]) -> list[tuple[str, str]]:
        return [(f"[`{name}`]({name}.md)", COMMANDS[name]) for name in names]

    return (
        f"{NOTE}# Commands\n\n"
        "`apostille COMMAND`, and where `kubectl-apostille` is on the PATH `kubectl apostille COMMAND`. "
        "Installed from a checkout by `uv tool install '.[cli]'` or `pip install '.[cli]'`.\n\n"
        + table(("Command", "What it does"), rows(name for name in COMMANDS if name not in PROCESSES))
        + "\nIn the cluster, run by the chart:\n\n"
        + table(("Command", "What it does"), rows(name for name in PROCESSES))
    )
