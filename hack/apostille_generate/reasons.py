"""``docs/reasons/``: every reason of a condition, what it means and what to do."""

from __future__ import annotations

from pathlib import Path

from apostille.model.conditions import EXPLAINED
from apostille_generate.markdown import NOTE, table

FOLDERS = ("docs/reasons",)


def files(root: Path) -> dict[str, str]:
    """Path to text."""
    rows = [
        (f"`{reason}`", ", ".join(f"{kind}={status}" for kind, status in found.at), found.meaning, found.remedy)
        for reason, found in EXPLAINED.items()
    ]
    return {
        "docs/reasons/README.md": (
            f"{NOTE}# Reasons\n\n"
            "`kubectl get ftrust,wbind` shows the reason of the condition `Ready`, `-o wide` its message too; the "
            "other conditions are in the status. Reasons are never renamed.\n\n"
            + table(("Reason", "Condition", "What it means", "What to do"), rows)
        )
    }
