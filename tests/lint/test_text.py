"""Bad input: whatever the bytes are, an answer with file and line, in bounded time, and never a traceback."""

from __future__ import annotations

import json
import tracemalloc

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from apostille.lint.nodes import Place, locate
from apostille.lint.text import MAX_DEPTH, MAX_DOCUMENT, Document, Problem, decode, documents

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 30)
)


def problem(text: str) -> tuple[int, int, str]:
    (found,) = [one for one in documents("f.yaml", text) if isinstance(one, Problem)]
    return found.line, found.column, found.message


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: [1\nc: 2\n", 3, "not YAML"),
        ("a:\n\tb: 1\n", 2, "not YAML"),
        ("a: 1\nb: 2\na: 3\n", 3, "the key 'a' stands there twice, first in line 1"),
        ("x:\n  u: 1\n  z: 1\n  u: 2\n", 4, "the key 'u' stands there twice, first in line 2"),
        ("a: *b\n", 1, "*b refers to nothing"),
        ("a: &x [*x]\n", 1, "*x refers to itself"),
        ("[1, 2]: 3\n", 1, "a key must be a plain value"),
        ("a: \x00\n", 1, "not YAML"),
        ("? {a: 1}\n: b\n", 1, "a key must be a plain value"),
        ("x: {<<: 3}\n", 1, "only mappings can be merged"),
        ("a: {{ .Values.name }}\n", 1, "this is a template: render it first"),
        ('a: 1\nb: {{- include "x" . | nindent 4 }}\n', 2, "this is a template: render it first"),
        ("".join(f"{' ' * i}a:\n" for i in range(MAX_DEPTH + 5)), MAX_DEPTH + 1, f"deeper than {MAX_DEPTH} levels"),
        (LAUGHS, 6, "aliases counted in full"),
        ("a: " + "x" * (3 << 20), 1, "a document of 3.0 MiB"),
        ("a: 1\n---\nb: 2\n---\na: " + "x" * (3 << 20), 4, "a document of 3.0 MiB"),
        ("[" * 100_000, 1, "not YAML"),
        ('{"a": ' * 100_000, 1, "deeper than"),
        ("!!python/object/apply:os.system [id]: 1\n", 1, "a key must be a plain value"),
    ],
    ids=map(str, range(19)),
)
def test_what_is_wrong_is_told_with_its_line(text: str, line: int, said: str) -> None:
    found = problem(text)
    assert found[0] == line or said == "not YAML", found
    assert said in found[2]
    assert "\n" not in found[2]


def test_the_number_of_values_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apostille.lint.text.MAX_NODES", 1000)
    assert problem("- a\n" * 2000) == (1000, 3, "more than 1,000 values, aliases counted in full")


def test_a_billion_laughs_cost_nothing() -> None:
    tracemalloc.start()
    try:
        assert "aliases counted in full" in problem(LAUGHS)[2]
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


def test_a_bad_document_does_not_hide_the_others() -> None:
    found = list(documents("f.yaml", "a: 1\n---\nb: [\n---\nc: 3\n"))
    assert [type(one) for one in found] == [Document, Problem, Document]
    assert isinstance(found[2], Document)
    assert locate(found[2].root, "c") == Place(5, 4, 1)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a: 1\nb: \xff\n", "line 2: not UTF-8 (byte 0xff)"),
        ("a: 1\n".encode("utf-16"), "line 1: not UTF-8 (UTF-16)"),
        ("# Ü\na: 1\n".encode("latin-1"), "line 1: not UTF-8 (byte 0xdc)"),
    ],
)
def test_what_is_not_utf8_is_told_with_its_line(data: bytes, said: str) -> None:
    found = decode("f.yaml", data)
    assert isinstance(found, Problem)
    assert f"line {found.line}: {found.message}".startswith(said)


def test_a_byte_order_mark_is_no_character() -> None:
    assert decode("f.yaml", b"\xef\xbb\xbfa: 1\n") == "a: 1\n"


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\n",
        "%YAML 1.2\n---\na: 1\n",
        "# only a comment\n---\na: 1\n...\n",
        "---\n---\na: 1\n---\n",
        '{"a": 1}',
        "a: |\n  x\n  --- not a marker\n---not: one\n",
    ],
)
def test_markers_directives_and_comments_are_no_documents(text: str) -> None:
    assert all(isinstance(one, Document) for one in documents("f.yaml", text))
    assert len(list(documents("f.yaml", text))) == 1


def test_scalars_are_what_kubernetes_takes_them_for() -> None:
    text = (
        "a: yes\nb: 'yes'\nc: 010\nd: 1_000\ne: 2026-01-01\nf: ~\ng: 0x1F\nh: 1e3\ni: !!str 5\nj: 1:30\nk: -7\n"
        "l: .5\nm: 12e\non: 1\np: |\n  t\n" + f"o: {'9' * 100_000}\n"
    )
    (one,) = documents("f.yaml", text)
    assert isinstance(one, Document)
    found = one.root.plain()
    assert len(found.pop("o")) == 100_000
    assert found == {
        "a": True, "b": "yes", "c": 8, "d": 1000, "e": "2026-01-01", "f": None, "g": 31, "h": 1000.0, "i": "5",
        "j": "1:30", "k": -7, "l": 0.5, "m": "12e", "true": 1, "p": "t\n",
    }  # fmt: skip


def test_anchors_and_merge_keys_give_what_yaml_says() -> None:
    text = "x: &x {a: 1, b: 2}\nlist: &l [*x, *x]\nw: {<<: *x, b: 3}\nz: {<<: [*x, {c: 4}]}\n"
    (one,) = documents("f.yaml", text)
    assert isinstance(one, Document)
    assert one.root.plain() == yaml.safe_load(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=6), JSON, min_size=1, max_size=4))
@settings(max_examples=150, deadline=None)
def test_json_is_read_as_json(value: dict[str, object]) -> None:
    """Also with every character escaped; a merge key is no key of JSON documents of Kubernetes."""
    if "<<" in json.dumps(value):
        return
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=True, indent=1)):
        (one,) = documents("f.json", text)
        assert isinstance(one, Document), one
        assert one.root.plain() == value


@given(st.binary(max_size=200) | st.text(alphabet="ab:-[]{}*&!|>'\"%@`#,?\t\n ~<", max_size=80).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_no_input_raises(data: bytes) -> None:
    text = decode("f.yaml", data)
    for one in [text] if isinstance(text, Problem) else documents("f.yaml", text):
        assert isinstance(one, Document | Problem)
        if isinstance(one, Problem):
            assert one.line >= 1
            assert one.message


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("spec.allow[1].targets[0]", Place(8, 11, 1)),
        ("spec.audience", Place(3, 13, 5)),
        ("spec.allow[0].namespace", Place(5, 18, 2)),
        ("spec.allow[1]", Place(6, 7, 1)),
        ("spec.allow", Place(4, 3, 5)),
        ("spec.missing.deeper", Place(2, 1, 4)),
        ("spec.allow[7]", Place(4, 3, 5)),
        ("metadata.annotations[a.b/c]", Place(1, 33, 1)),
        ("", Place(1, 1, 1)),
    ],
)
def test_a_field_is_found_where_it_stands(path: str, place: Place) -> None:
    text = (
        "metadata: {annotations: {a.b/c: x}}\n"
        "spec:\n  audience: 'abc'\n  allow:\n    - namespace: ns\n    - namespace: m\n      targets:\n        - t\n"
    )
    (one,) = documents("f.yaml", text)
    assert isinstance(one, Document)
    assert locate(one.root, path) == place


def test_the_limits_are_those_that_are_told() -> None:
    at_most = "a: " + "x" * (MAX_DOCUMENT - 3)
    assert [type(one) for one in documents("f.yaml", at_most)] == [Document]
