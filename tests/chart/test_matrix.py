"""Every value acts, and whatever is chosen, API servers of three versions take what is rendered."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

import pytest
import yaml

from apostille_generate.values import documented
from apostille_testbed.chart import CHART, HelmError
from chart import matrix
from chart.api import VERSIONS, complaints
from chart.rendering import DEFAULTS, Values, objects, overlaid, prepare, text

PATHS = [value.path for value in documented((CHART / "values.yaml").read_text()) if not value.group]
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())


def beside(path: tuple[str, ...]) -> Values:
    """What a value is added to."""
    return matrix.BESIDE.get(".".join(path), {})


@pytest.fixture(scope="module", autouse=True)
def rendered() -> None:
    """All at once."""
    prepare(matrix.WHOLE.values())
    prepare([beside(path) for path in PATHS])
    with contextlib.suppress(LookupError):  # the test of that value says it
        prepare([overlaid(beside(path), matrix.single(path)) for path in PATHS])


@pytest.mark.parametrize("name", matrix.WHOLE)
def test_whole_files_of_values_are_taken_by_every_version(name: str) -> None:
    documents = objects(matrix.WHOLE[name])

    assert len(documents) > 20
    for version in VERSIONS:
        assert [said for document in documents for said in complaints(version, document)] == []


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_every_value_acts_and_is_taken_by_every_version(path: tuple[str, ...]) -> None:
    without, chosen = beside(path), overlaid(beside(path), matrix.single(path))

    assert text(chosen) != text(without), f"{'.'.join(path)} changes nothing"
    for version in VERSIONS:
        assert [said for document in objects(chosen) for said in complaints(version, document)] == []


@pytest.mark.parametrize("name", matrix.WHOLE)
def test_no_two_objects_have_one_name(name: str) -> None:
    named = [(d["apiVersion"], d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"])
             for d in objects(matrix.WHOLE[name])]  # fmt: skip
    assert len(named) == len(set(named))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_typo_in_an_object_is_seen(version: str) -> None:
    """The judge itself: what it must not let pass."""
    (deployment, *_) = [d for d in objects({}) if d["kind"] == "Deployment"]
    broken = json.loads(json.dumps(deployment))
    broken["spec"]["template"]["spec"]["containers"][0]["imagePullPolcy"] = "Never"
    broken["spec"]["replicas"] = "two"

    said = "\n".join(complaints(version, broken))

    assert "'imagePullPolcy' was unexpected" in said
    assert "'two' is not of type 'integer'" in said
    assert list(complaints(version, {**deployment, "apiVersion": "apps/v1beta1"})) != []


def _objects_of(schema: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = [(path, schema)] if isinstance(schema, dict) and schema.get("type") == "object" else []
    children = schema.items() if isinstance(schema, dict) else enumerate(schema) if isinstance(schema, list) else ()
    return found + [one for key, child in children for one in _objects_of(child, f"{path}.{key}")]


def test_no_object_of_the_schema_takes_unknown_keys() -> None:
    """But for what is passed on as it is: objects of the user's own, sources of volumes (by name), `global`."""
    whole = {".properties.global", ".properties.extraObjects.items", ".definitions.extraVolumes.items"}
    loose = {
        path
        for path, schema in _objects_of(SCHEMA)
        if schema.get("additionalProperties") is not False and not isinstance(schema.get("additionalProperties"), dict)
    }
    assert loose == whole


def _typos() -> list[tuple[str, Values]]:
    """For each group of values one key too many."""
    groups = {path[:depth] for path in PATHS for depth in range(len(path))}
    found = []
    for group in sorted(groups):
        values: Any = {"tpyo": 1}
        for key in reversed(group):
            values = {key: values}
        found.append((".".join(group) or "(root)", values))
    return found


@pytest.mark.parametrize(("group", "values"), _typos(), ids=lambda value: value if isinstance(value, str) else "")
def test_a_key_too_many_is_refused_by_name(group: str, values: Values) -> None:
    with pytest.raises(HelmError, match=r"(?s)'?/?" + re.escape(group.replace(".", "/")) + ".*tpyo|tpyo"):
        text(values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"image": {"digest": "latest"}}, "/image/digest"),
        ({"controller": {"replicas": "many"}}, "/controller/replicas"),
        ({"admission": {"logLevel": "loud"}}, "/admission/logLevel"),
        ({"admission": {"tolerations": [{"efect": "NoSchedule"}]}}, "efect"),
        ({"admission": {"resources": {"limit": {"cpu": 1}}}}, "limit"),
        ({"controller": {"extraVolumes": [{"name": "x", "confgMap": {}}]}}, "confgMap"),
        ({"controller": {"extraEnv": [{"name": "X", "valeu": "y"}]}}, "valeu"),
        ({"commonLabels": {"app.kubernetes.io/name": "mine"}}, "app.kubernetes.io/name"),
        ({"admission": {"podLabels": {"apostille.dev/injected": "true"}}}, "apostille.dev/injected"),
        ({"prometheusRule": {"disabled": ["ApostileNoLeader"]}}, "/prometheusRule/disabled/0"),
        ({"rbac": {"platformSubjects": [{"kind": "Team", "name": "x"}]}}, "/rbac/platformSubjects/0/kind"),
        ({"exchange": {"pullSecret": {"namespaces": ["payments"]}}}, "dockerConfigJSON is not"),
        ({"admission": {"hostNetwork": True}}, "admission.port"),
        ({"podSecurityContext": {"runAsNonRoot": False}}, "/podSecurityContext/runAsNonRoot"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_value_is_refused_by_name(values: Values, said: str) -> None:
    with pytest.raises(HelmError, match=re.escape(said)):
        text(values)


def test_the_schema_knows_exactly_the_values_there_are() -> None:
    def same(values: dict[str, Any], schema: dict[str, Any], path: str) -> None:
        known = schema["properties"].keys() - ({"global"} if path == "" else set())
        assert values.keys() == known, path
        for key, value in values.items():
            if isinstance(value, dict) and value and "properties" in schema["properties"][key]:
                same(value, schema["properties"][key], f"{path}.{key}")

    same(DEFAULTS, SCHEMA, "")


def test_alerts_can_be_left_out_by_the_names_they_have() -> None:
    alerts = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    assert SCHEMA["definitions"]["alert"]["enum"] == [alert["alert"] for alert in alerts]


@pytest.mark.parametrize(("version", "taken"), [("v1.30.14", False), ("v1.31.0", True), ("v1.37.2-gke.100", True)])
def test_clusters_that_are_too_old_are_refused(version: str, taken: bool) -> None:
    if taken:
        assert "kind: Deployment" in text({}, f"--kube-version={version}")
    else:
        with pytest.raises(HelmError, match="incompatible with Kubernetes"):
            text({}, f"--kube-version={version}")
