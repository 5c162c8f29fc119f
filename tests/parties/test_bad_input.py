"""What people get wrong is refused with the field and the right form, for every party, in words that are written down.

After an intended change, rewrite with ``APOSTILLE_UPDATE_GOLDEN=1`` and review the diff like prose.
``tests/integration/test_bad_input.py`` holds the API server to the same words.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from apostille.core.judge import Context, judge_binding, judge_trust
from apostille.kinds import decode
from apostille.model.finding import refusals
from apostille.model.identity import Issuer
from apostille.model.names import DOCS
from apostille.parties.party import Party
from apostille.parties.registry import PARTIES
from builders import CONTEXT, ISSUER
from samples.bad_input import Bad, cases, first
from samples.sample import every

GOLDEN = Path(__file__).parents[1] / "golden" / "bad-input"
SCHEMA = "the schema refuses it"
FOREIGN = "a binding to a target of another party"


def said(party: Party, bad: Bad) -> list[str]:
    """What the webhook would say, one entry a field; one entry of its own for what the schema refuses."""
    try:
        trust = decode.federation_trust(bad.document(first(party)))
    except decode.InvalidObject as refused:
        return [f"{str(refused).partition(': ')[0]}: {SCHEMA}"]
    context = Context(Issuer(bad.issuer) if bad.issuer else ISSUER, CONTEXT.own_namespace)
    told: dict[str, str] = {}
    for finding in refusals(judge_trust(trust, (), context)):
        told.setdefault(finding.path, str(finding))
    return list(told.values())


def of_another(party: Party) -> list[str]:
    """A binding to its trust that names another party's target."""
    mine = next(sample for sample in every().values() if sample.party is party)
    other = next(sample for sample in every().values() if sample.party is not party)
    bound = mine.bind(target=other.targets[0])
    return [str(finding) for finding in judge_binding(bound, mine.trust, CONTEXT)]


@pytest.mark.parametrize("party", PARTIES, ids=lambda party: party.name)
def test_what_is_said(party: Party) -> None:
    found = {name: said(of, bad) for of, name, bad in cases() if of is party} | {FOREIGN: of_another(party)}
    file = GOLDEN / f"{party.member}.yaml"
    text = yaml.safe_dump(found, sort_keys=False, width=118, allow_unicode=True)
    if os.environ.get("APOSTILLE_UPDATE_GOLDEN") == "1":
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()
    for name, lines in found.items():
        # A party that takes the issuer's keys with its documents need not reach the issuer.
        assert lines or name.startswith("an issuer"), name
        for line in lines:
            where, _, rest = line.partition(": ")
            assert where.startswith("spec."), line
            assert rest == SCHEMA or f"{DOCS}/rules/" in rest, line
