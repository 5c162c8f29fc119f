"""What README's table says was tested has a test: of each party, with each client, with a cluster's tokens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from apostille.parties.registry import BY_NAME
from apostille_testbed.parties import names, stands
from apostille_testbed.parties.stands import Stands

TESTS = Path(__file__).parents[1]
FOLDERS = sorted(
    path.parent.name for path in Path(__file__).parents[2].glob("hack/apostille_testbed/parties/*/__init__.py")
)
STANDS = dict(zip(FOLDERS, stands(), strict=True))
# What a client's distribution is imported as.
_MODULES = {
    "alibabacloud-credentials": "alibabacloud_credentials",
    "azure-identity": "azure.identity",
    "boto3": "boto3",
    "databricks-sdk": "databricks.sdk",
    "google-auth": "google.auth",
    "hvac": "hvac",
    "snowflake-connector-python": "snowflake.connector",
}


def using(folder: str) -> list[str]:
    """Texts of the test modules that run this party, scenes and worlds that they share included."""
    running = re.compile(rf'party\(\s*"{folder}"|parties[. ]+(import )?{folder}\b|"{folder}"')
    found = {path: path.read_text() for path in TESTS.rglob("*.py")}
    direct = {path for path, text in found.items() if running.search(text)}
    through = {path.stem for path in direct if not path.stem.startswith("test_")}
    shared = re.compile(rf"\b({'|'.join(map(re.escape, sorted(through))) or '$'}) import ")
    return [text for path, text in found.items() if path in direct or shared.search(text)]


def test_every_party_is_stood_for_and_nothing_else_is() -> None:
    assert {one.party for one in stands()} == set(BY_NAME)
    assert set(names()) <= set(STANDS)


@pytest.mark.parametrize("folder", STANDS)
def test_what_is_said_of_a_party_has_a_test(folder: str) -> None:
    said: Stands = STANDS[folder]
    texts = using(folder)
    assert texts, "no test runs it"
    for client in said.clients:
        assert any(re.search(rf"\b{re.escape(_MODULES[client])}\b", text) for text in texts), client
    if said.cluster:
        assert any("control_plane" in text or "ControlPlane" in text for text in texts)
    if said.cluster == "rotation":
        assert any("rotat" in text for text in texts)
