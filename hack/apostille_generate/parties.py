"""README's table of relying parties: what each can do comes from the code, the sentences are somebody's."""

from __future__ import annotations

import re
from pathlib import Path

from apostille.parties.party import FORMATS, Party
from apostille.parties.registry import PARTIES
from apostille_generate.markdown import table

BEGIN, END = "<!-- parties: the first, third, fourth and fifth column are generated -->\n\n", "\n<!-- /parties -->"
_HEAD = ("party", "trust configuration", "rendered as", "SDK", "sidecar", "tested against")
_FORMS = {"native": "documents", "cli": "CLI", "terraform": "Terraform"}


def files(root: Path) -> dict[str, str]:
    """Path to text."""
    readme = (root / "README.md").read_text()
    before, begin, rest = readme.partition(BEGIN)
    written, end, after = rest.partition(END)
    assert begin, f"README.md has no {BEGIN.strip()}"
    assert end, f"README.md has no {END.strip()}"
    rows = [_row(party, written) for party in PARTIES]
    return {"README.md": f"{before}{BEGIN}{table(_HEAD, rows)}{END}{after}"}


def _row(party: Party, written: str) -> tuple[str, ...]:
    """``written`` is the table as it is; a party without sentences has none until somebody writes them."""
    name = f"[`{party.name}`](docs/parties/{party.member}.md)"
    found = re.search(rf"^\| {re.escape(name)} \| ([^|]*) \| .* \| ([^|]*) \|$", written, re.MULTILINE)
    configuration, tested = found.groups() if found is not None else ("", "")
    return (
        name,
        configuration,
        ", ".join(_FORMS[form] for form in FORMATS),
        "yes" if "SDK" in party.deliveries else "",
        "yes" if "Sidecar" in party.deliveries else "",
        tested,
    )
