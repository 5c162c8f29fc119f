"""Every rendered Terraform configuration, by the schemas of the providers that it names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apostille.parties import terraform
from apostille.parties.registry import BY_NAME, PARTIES
from apostille_testbed.terraform_schemas import FOLDER
from builders import ISSUER
from samples.sample import every
from terraform_schema import errors, resources

GOLDEN = Path(__file__).parents[1] / "golden"
DOCS = Path(__file__).parents[2] / "docs" / "parties"
FILES = {path.relative_to(GOLDEN).parts[0]: path for path in sorted(GOLDEN.rglob(terraform.FILE))}
SAMPLES = every()

Json = Any


def golden(case: str) -> Json:
    return json.loads(FILES[case].read_text())


@pytest.mark.parametrize("case", FILES)
def test_providers_take_every_golden_configuration(case: str) -> None:
    assert errors(golden(case)) == []


@pytest.mark.parametrize("kind", SAMPLES)
def test_providers_take_what_is_rendered_of_every_sample(kind: str) -> None:
    sample = SAMPLES[kind]
    bindings = [sample.bind(f"b{i}", target=target) for i, target in enumerate(sample.targets)]
    uids = {"reader": "uid-reader"} if sample.party.pins_instances(sample.trust.view.settings) else None
    views = [one.view(sample.party, uids) for one in bindings]
    made = sample.party.access(sample.trust.view, views, ISSUER)
    assert errors(json.loads(sample.party.render(made, "terraform")[terraform.FILE])) == []


@pytest.mark.parametrize("case", FILES)
def test_the_oldest_version_is_named_and_is_on_the_partys_page(case: str) -> None:
    """Older ones lack an argument, which Terraform then calls unknown; none is newer than what is known here."""
    page = (DOCS / f"{BY_NAME[case_party(case)].member}.md").read_text()
    for one in golden(case)["terraform"]["required_providers"].values():
        oldest = one["version"].removeprefix(">= ")
        assert f"{one['source']} {oldest.removesuffix('.0')}" in page
        known = json.loads((FOLDER / f"{one['source'].partition('/')[2]}.json").read_text()).get("version")
        assert known is None or numbers(oldest) <= numbers(known)


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def test_every_party_with_a_provider_has_a_golden_configuration() -> None:
    shown = {kind for case in FILES for kind in golden(case)["resource"]}
    assert shown == set(resources()), "a schema for each resource that is rendered, and no other"
    shown_parties = {case_party(case) for case in FILES}
    assert shown_parties >= {party.name for party in PARTIES} - {"OAuth"}, "which has no provider"


def case_party(case: str) -> str:
    declared = "".join(path.read_text() for path in (GOLDEN / case / "in").glob("*.yaml"))
    return next(party.name for party in PARTIES if re.search(rf"type: {party.name}\b", declared))


# Of another type than the one that is wanted.
_WRONG: Json = {
    "string": 7, "number": "7", "bool": "true", "list": "x", "set": "x", "map": ["x"],
    "object": [{}], "block": [{}, {}], "objects": {},
}  # fmt: skip


def mutations(kind: str, arguments: Json) -> Iterator[Json]:
    """One argument each as the provider does not take it."""
    schema = resources()[kind][1]
    yield {**arguments, "no_such_argument": "x"}
    yield {**arguments, "depends_on": ["aws_iam_role.nobody"]}
    for name in [name for name, one in schema.items() if one.get("required")]:
        yield {key: value for key, value in arguments.items() if key != name}
    for name in [name for name, one in schema.items() if one.get("computed")]:
        yield {**arguments, name: "x"}
    for name in set(arguments) & set(schema):
        yield {**arguments, name: _WRONG[schema[name]["type"].partition("(")[0]]}
        if schema[name]["type"] == "string":
            yield {**arguments, name: "${aws_iam_role.nobody.arn}"}
            yield {**arguments, name: f"${{{kind}.no_such_name.id}}"}


@pytest.mark.parametrize("case", FILES)
def test_what_a_provider_would_refuse_is_seen(case: str) -> None:
    """Each argument of each resource in turn, and that resource is the one complained of."""
    document = golden(case)
    for kind, named in document["resource"].items():
        for name, arguments in named.items():
            for changed in mutations(kind, arguments):
                named[name] = changed
                found = errors(document)
                assert [one for one in found if one.startswith(f"{kind}.{name}")], (changed, found)
            named[name] = arguments


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"source": "example/keycloak"}, "required_providers has to name keycloak/keycloak"),
        ({"argument": ("keycloak_user", {"federated_identity": {}})}, "a list of objects is wanted"),
        ({"argument": ("keycloak_user", {"federated_identity": [{"user_id": "x"}]})}, "user_name is required"),
        ({"argument": ("keycloak_user", {"username": None})}, "username: a string is wanted"),
        ({"argument": ("keycloak_openid_client", {"enabled": "true"})}, "enabled: a bool is wanted"),
        ({"argument": ("keycloak_openid_client", {"service_account_user_id": "x"})}, "the provider computes it"),
        (
            {"argument": ("keycloak_openid_client", {"extra_config": {"access.token.lifespan": "60"}})},
            "access.token.lifespan conflicts with an argument",
        ),
    ],
)
def test_the_message_says_what_is_wrong(change: Json, told: str) -> None:
    document = golden("keycloak-grants")
    if "source" in change:
        document["terraform"]["required_providers"]["keycloak"]["source"] = change["source"]
    else:
        kind, arguments = change["argument"]
        for one in document["resource"][kind].values():
            one |= arguments
    assert any(told in one for one in errors(document)), errors(document)
