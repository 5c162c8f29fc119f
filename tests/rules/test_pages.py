"""The pages that messages link to: there for every rule and reason, and every link in them leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from apostille.model.conditions import EXPLAINED, Reason
from apostille.model.finding import Rule
from apostille.model.names import DOCS
from apostille.parties.registry import catalogue
from apostille_generate import observability, reasons, reference, rules
from apostille_generate.markdown import code, table

ROOT = Path(__file__).parents[2]
PAGES = rules.files(ROOT) | reasons.files(ROOT) | reference.files(ROOT) | observability.files(ROOT)


@pytest.mark.parametrize("rule", catalogue(), ids=lambda rule: rule.id)
def test_a_rule_has_the_page_that_its_message_links_to(rule: Rule) -> None:
    (link,) = re.findall(re.escape(DOCS) + r"/(\S+)\]", str(rule.at("spec", "it is wrong")))
    page = PAGES[f"docs/{link}.md"]
    assert f"# {rule.id}: {rule.title}\n" in page
    assert rule.why in page
    assert rule.remedy in page
    assert "| Where |  |" not in page, "a rule that is enforced nowhere"


def test_every_reason_is_in_the_table() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(\1\.md\) \|", PAGES["docs/reasons/README.md"], re.MULTILINE)
    assert rows == [str(reason) for reason in Reason]


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_has_a_page_with_what_it_means_where_it_shows_and_what_to_do(reason: Reason) -> None:
    page, explained = PAGES[f"docs/reasons/{reason}.md"], EXPLAINED[reason]
    assert explained.meaning in page
    assert explained.remedy in page
    assert "\n$ kubectl describe " in page
    for kind, status in explained.at:
        seen = rf"Reason: +{reason}\n    Status: +{status}\n    Type: +{kind}\n"
        assert f"`{kind}={status}`" in page
        assert re.search(seen, page)
    events = re.findall(rf"^  (Normal|Warning)  {reason} .* apostille.dev/controller  (.+)$", page, re.MULTILINE)
    told = any(kind == "Ready" for kind, _ in explained.at)
    assert bool(events) is ("apostille_objects" in page) is told
    for kind, note in events:
        assert note.endswith(f"[{DOCS}/reasons/{reason}]") is (kind == "Warning")


def test_every_link_leads_to_a_file() -> None:
    for name, page in [(name, page) for name, page in PAGES.items() if name.endswith(".md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", re.sub("`[^`]*`", "", page)):
            assert str((ROOT / name).parent.joinpath(target).resolve().relative_to(ROOT)) in PAGES, (name, target)


def test_generation_is_deterministic() -> None:
    again = rules.files(ROOT) | reasons.files(ROOT) | reference.files(ROOT) | observability.files(ROOT)
    assert again == PAGES


def test_every_field_that_the_schema_has_is_described() -> None:
    for name in ("federationtrusts", "workloadbindings"):
        for line in PAGES[f"docs/reference/{name}.md"].splitlines():
            if line.startswith("| `") and line.count(" | ") == 4:
                assert not line.endswith("|  |"), line


def test_a_cell_is_not_ended_by_what_it_holds() -> None:
    assert table(("a",), [(code("x|y"),)]) == "| a |\n| --- |\n| `x\\|y` |\n"
    assert code("a`b") == "`` a`b ``"
