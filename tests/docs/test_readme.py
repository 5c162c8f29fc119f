"""README stays true: its commands are typed, its links lead somewhere, its example is accepted."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from apostille.kinds import decode

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [
    path
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("charts/**/README.md"),
        *ROOT.glob("examples/**/*.md"),
    )
    if path.name != "LICENSE"
]


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_first_screen_has_the_two_commands() -> None:
    (commands, *_) = _blocks("")
    assert re.findall(r"^make (\S+)", commands, re.MULTILINE) == ["demo", "test"]
    assert README.index("make test") < README.index("```yaml") < README.index("![")


def test_with_a_cluster_three_commands_lead_to_a_bound_pod() -> None:
    """They are typed in ``tests/node/test_release.py``."""
    (_, commands, *_) = _blocks("")
    assert [line.split()[:2] for line in commands.splitlines()] == [
        ["helm", "install"], ["kubectl", "apply"], ["kubectl", "wait"],
    ]  # fmt: skip
    assert README.index("make test") < README.index("helm install") < README.index("```yaml")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"(?<![\w-])make ([a-z][a-z0-9-]*)`", page.read_text()))
    assert named <= _targets()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose)
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_the_example_is_what_the_quickstart_applies() -> None:
    (example, *_) = _blocks("yaml")
    trust, binding = (document | {"apiVersion": "apostille.dev/v1alpha1"} for document in yaml.safe_load_all(example))
    assert decode.federation_trust(trust).spec.allow[0].namespace == "payments"
    assert decode.workload_binding(binding).spec.trust_ref.name == trust["metadata"]["name"]
    assert len(example.strip().splitlines()) <= 12


@pytest.mark.integration
def test_the_commands_of_try_it_by_hand_work_as_typed(tmp_path: Path) -> None:
    (console, *_) = _blocks("console")
    typed = [line.removeprefix("$ ").partition("   #")[0] for line in console.splitlines() if line.startswith("$ ")]
    assert any(line.startswith("kubectl apply -f crds/") for line in typed)
    # A control plane of our own, so that one that somebody runs is not touched.
    script = "\n".join(typed).replace("hack/testbed up", "hack/testbed up readme-test")
    script = script.replace("hack/testbed env", "hack/testbed env readme-test")
    script = script.replace("hack/testbed down", "hack/testbed down readme-test")
    try:
        done = subprocess.run(
            ["bash", "-euxo", "pipefail"],
            input=script,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    finally:
        subprocess.run([ROOT / "hack" / "testbed", "down", "readme-test"], capture_output=True, check=False)
    assert re.search(r"aws-prod +AWS +https://aws-prod.sts.example +Enforce +Rendered +\d +True +Ready", done.stdout)
    assert re.search(r"s3-reader +aws-prod +role/payments-reader +\d +\d +\d +\d +True +Ready", done.stdout)
