"""Documents that were rendered into the repository are compared with what trusts and bindings give."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest

from apostille.core.access import access
from apostille.core.judge import Context
from apostille.lint.judge import Options
from builders import ISSUER, binding, raw_binding, raw_trust, trust, world
from lint.test_lint import TODAY, found, report, text

FOLDER = "rendered/aws-prod"
DECLARED = {"t.yaml": text(raw_trust()), "b.yaml": text(raw_binding())}
OPTIONS = Options(Context(ISSUER, "apostille-system"), TODAY)
ROLE = f"{FOLDER}/role-payments-reader.json"


def documents() -> dict[str, str]:
    declared = world([trust()], [binding()])
    made = access(trust(), declared.of_trust("aws-prod"), ISSUER)
    return {f"{FOLDER}/{name}": content for name, content in made.files.items()}


def edited(files: Mapping[str, str], path: str, old: str, new: str) -> dict[str, str]:
    assert old in files[path]
    return {**files, path: files[path].replace(old, new)}


def test_what_is_current_is_silent_in_whatever_layout() -> None:
    files = documents()
    compact = {path: json.dumps(json.loads(content)) for path, content in files.items()}
    assert found(DECLARED | files, OPTIONS) == found(DECLARED | compact, OPTIONS) == []


@pytest.mark.parametrize(
    ("change", "file", "said"),
    [
        (lambda files: edited(files, ROLE, ":reader", ":writer"), ROLE, "it is not what FederationTrust aws-prod"),
        (
            lambda files: {path: content for path, content in files.items() if path != ROLE},
            f"{FOLDER}/oidc-provider.json", "role-payments-reader.json is missing beside it",
        ),
        (
            lambda files: {**files, f"{FOLDER}/role-gone.json": files[ROLE].replace("payments-reader", "gone")},
            f"{FOLDER}/role-gone.json", "gives it any more",
        ),
    ],
    ids=["edited", "missing", "left over"],
)  # fmt: skip
def test_what_lags_behind_is_told_with_the_command(
    change: Callable[[dict[str, str]], dict[str, str]], file: str, said: str
) -> None:
    made = report(DECLARED | change(documents()), OPTIONS)
    (result,) = [one for one in made.active if one.finding.rule.id == "LNT401"]
    assert (result.file, said in result.finding.message) == (file, True)
    assert result.finding.remedy.startswith(f"apostille render aws-prod --directory {FOLDER}")


def test_a_binding_that_is_not_rendered_yet_is_told() -> None:
    more = {"c.yaml": text(raw_binding("more", subject={"serviceAccountNames": ["writer"]}))}
    allowed = {
        "t.yaml": text(raw_trust(allow=[{**raw_trust()["spec"]["allow"][0], "serviceAccounts": ["reader", "writer"]}]))
    }
    assert found(DECLARED | allowed | more | documents(), OPTIONS) == [("LNT401", ROLE, "")]


def test_without_the_issuer_nothing_is_compared() -> None:
    assert found(DECLARED | edited(documents(), ROLE, ":reader", ":writer")) == []


def test_a_folder_of_another_name_is_not_taken_for_a_trusts() -> None:
    moved = {path.replace("aws-prod", "other"): content for path, content in documents().items()}
    assert found(DECLARED | edited(moved, ROLE.replace("aws-prod", "other"), ":reader", ":writer"), OPTIONS) == []
