"""Documents of anybody, of every party: judged, and what lets a stranger in is told.

Each sample's documents are changed at one place: a member left out, emptied, made a star, a pattern, a list. Whoever
gets in then that nobody bound, a finding refuses it; and nothing but ValueError comes of documents that are none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from apostille.parties.party import FORMATS
from apostille.parties.registry import PARTIES
from builders import ISSUER
from parties.test_every_party import claims, viewed
from samples.sample import Sample, every

SAMPLES = every()
BOUND = ("payments", "reader")
STRANGERS = (("payments", "other"), ("x7f", "reader"), ("x7f", "q9"))
SUBJECT = "system:serviceaccount:payments:reader"
PATTERNS = ("*", "system:serviceaccount:*", "system:serviceaccount:payments:*", "system:serviceaccount:*:reader", "")
_ABSENT = object()


def rendered(sample: Sample) -> dict[str, str]:
    """Native documents of one binding."""
    party = sample.party
    views = [viewed(sample.bind(target=sample.targets[0]), sample.trust)]
    return dict(party.render(party.access(sample.trust.view, views, ISSUER), "native"))


def changed(files: dict[str, str]) -> Iterator[tuple[str, dict[str, str]]]:
    """(what was done, the documents)."""
    for file, text in files.items():
        for pattern in PATTERNS:
            if SUBJECT in text:
                yield f"{file}: {pattern!r} for the subject", files | {file: text.replace(SUBJECT, pattern)}
        yield f"{file} is not there", {name: other for name, other in files.items() if name != file}
        for path, document in _documents(text):
            yield f"{file}:{path}", files | {file: document}


def _documents(text: str) -> Iterator[tuple[str, str]]:
    try:
        document = json.loads(text)
    except ValueError:
        for line in (lines := text.splitlines(keepends=True)):
            yield f"without {line.strip()}", "".join(other for other in lines if other != line)
        return
    for path, variant in _variants(document):
        yield path, json.dumps(variant)


def _variants(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Of a document every one that differs at one place; texts that are documents are walked too."""
    if isinstance(value, str) and value[:1] in "{[" and (inner := _json(value)) is not None:
        yield from ((where, json.dumps(variant)) for where, variant in _variants(inner, path))
    if isinstance(value, dict):
        for key, child in value.items():
            rest = {name: other for name, other in value.items() if name != key}
            yield f"{path}.{key} left out", rest
            yield from ((where, value | {key: variant}) for where, variant in _variants(child, f"{path}.{key}"))
    elif isinstance(value, list):
        for i, child in enumerate(value):
            yield f"{path}[{i}] left out", value[:i] + value[i + 1 :]
            for where, variant in _variants(child, f"{path}[{i}]"):
                yield where, [*value[:i], variant, *value[i + 1 :]]
    for variant in ("", "*", [], {}, None, 7, ["*"]):
        yield f"{path} = {variant!r}", variant


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


@pytest.mark.parametrize("kind", SAMPLES)
def test_whoever_gets_in_is_told(kind: str) -> None:
    sample = SAMPLES[kind]
    party, by = sample.party, sample.trust
    target = party.target_id(sample.bind(target=sample.targets[0]).view(party).target)
    intruders = [claims(by, *stranger) for stranger in STRANGERS] + [claims(by, *BOUND, aud=["https://other.example"])]
    judged = 0
    for what, files in changed(rendered(sample)):
        try:
            access = party.parse(files)
        except ValueError:
            continue
        found = [str(finding) for finding in party.document_findings(access) if finding.refuses]
        judged += 1
        for intruder in intruders:
            try:
                verdict = party.evaluate(access, intruder, target)
            except ValueError:
                continue
            assert not verdict.allowed or found, f"{what}: {intruder['sub']} for {intruder['aud']} gets in, unsaid"
    assert judged > 5


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", SAMPLES)
def test_every_form_names_the_bound_and_nobody_else(kind: str, form: str) -> None:
    """Scripts and configurations are not read back; but they hold the same subjects, and no pattern of one."""
    sample = SAMPLES[kind]
    party = sample.party
    pairs = [("payments", "reader"), ("orders", "writer"), ("payments", "clerk")]
    bindings = [
        sample.bind(f"b{i}", namespace, subject={"serviceAccountNames": [name]}, target=sample.targets[0])
        for i, (namespace, name) in enumerate(pairs[: 1 if _single(sample) else 3])
    ]
    made = party.access(sample.trust.view, [viewed(one, sample.trust) for one in bindings], ISSUER)
    files = party.render(made, form)  # type: ignore[arg-type]
    named = {
        match
        for text in files.values()
        for match in re.findall(r"system:serviceaccount:[^\s\"'\\`,;)\]}]+", text.replace("\\u003a", ":"))
    }
    bound = {subject for one in bindings for subject in one.view(party).subjects}
    if form == "native" or named:
        assert named == bound


def _single(sample: Sample) -> bool:
    """Whether a target takes one subject."""
    views = [
        viewed(sample.bind(f"b{i}", subject={"serviceAccountNames": [f"a{i}"]}, target=sample.targets[0]), sample.trust)
        for i in range(2)
    ]
    return any(limit.over for limit in sample.party.limits(sample.trust.view, views, ISSUER))


@pytest.mark.parametrize("party", PARTIES, ids=lambda party: party.name)
@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "7", '"x"', "{", "\\x00", '{"a": [{"b": null}]}'])
def test_documents_that_are_none_are_refused_by_name(party: Any, text: str) -> None:
    sample = next(sample for sample in SAMPLES.values() if sample.party is party)
    for file in rendered(sample):
        told = ""
        try:
            access = party.parse(rendered(sample) | {file: text})
        except ValueError as refused:
            told = str(refused)
        else:
            list(party.document_findings(access))
        assert not told or file.partition(".")[0] in told, told
