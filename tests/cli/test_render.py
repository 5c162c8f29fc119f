"""`render` gives every form, also those that the trust does not ask the controller for."""

from __future__ import annotations

import json

import pytest

import builders
from apostille.cli.render import in_form
from apostille.parties.party import FORMATS, Format
from builders import ISSUER
from parties.test_every_party import viewed
from samples.sample import every

SAMPLES = every()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", SAMPLES)
def test_a_form_that_the_controller_did_not_write_is_made_of_the_native_documents(kind: str, form: Format) -> None:
    sample = SAMPLES[kind]
    trust, party = sample.trust, sample.party
    bindings = [sample.bind(f"b{i}", target=target) for i, target in enumerate(sample.targets)]
    access = party.access(trust.view, [viewed(one, trust) for one in bindings], ISSUER)
    native, wanted = party.render(access, "native"), party.render(access, form)
    made = in_form(trust, native, form)
    assert made.keys() == wanted.keys()
    for name, text in wanted.items():
        same = json.loads(made[name]) == json.loads(text) if name.endswith(".json") else made[name] == text
        assert same, f"{name}:\n{made[name]}\n{text}"
    assert in_form(trust, {**native, **wanted}, form) == dict(wanted)


def test_without_native_documents_it_says_so() -> None:
    with pytest.raises(ValueError, match=r"oidc-provider\.json"):
        in_form(builders.trust(), {"apply.sh": "#!/bin/sh\n"}, "terraform")
