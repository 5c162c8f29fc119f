"""README's table of relying parties, from the code: what each can do, and what the tests hold it to."""

from __future__ import annotations

from pathlib import Path

from apostille.parties.party import FORMATS, Party
from apostille.parties.registry import PARTIES
from apostille_generate.markdown import table
from apostille_testbed.parties import stands
from apostille_testbed.parties.stands import Stands

BEGIN, END = "<!-- parties: generated -->\n\n", "\n<!-- /parties -->"
_HEAD = ("party", "trust configuration", "rendered as", "SDK", "sidecar", "tested against")
_FORMS = {"native": "documents", "cli": "CLI", "terraform": "Terraform"}
_CLUSTER = {
    "": "",
    "tokens": "tokens of a real API server",
    "rotation": "tokens and a key rotation of a real API server",
}


def files(root: Path) -> dict[str, str]:
    """Path to text. A party that nothing stands for is an error: it would be one that nobody tried."""
    readme = (root / "README.md").read_text()
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, f"README.md has no {BEGIN.strip()}"
    assert end, f"README.md has no {END.strip()}"
    by: dict[str, list[Stands]] = {party.name: [] for party in PARTIES}
    for one in stands():
        by[one.party].append(one)
    rows = [_row(party, by[party.name]) for party in PARTIES]
    return {"README.md": f"{before}{BEGIN}{table(_HEAD, rows)}{END}{after}"}


def _row(party: Party, tested: list[Stands]) -> tuple[str, ...]:
    assert tested, f"nothing in the testbed stands for {party.name}"
    return (
        f"[`{party.name}`](docs/parties/{party.member}.md)",
        party.configures,
        ", ".join(_FORMS[form] for form in FORMATS),
        "yes" if "SDK" in party.deliveries else "",
        "yes" if "Sidecar" in party.deliveries else "",
        " · ".join(map(_tested, tested)),
    )


def _tested(one: Stands) -> str:
    clients = f"unmodified {' and '.join(one.clients)}" if one.clients else ""
    driven = ", ".join(part for part in (clients, _CLUSTER[one.cluster]) if part)
    return f"{one.what}; {driven}" if driven else one.what
