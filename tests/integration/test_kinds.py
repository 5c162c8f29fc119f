"""The two kinds as the API server serves them: what it fills in, explains, refuses, and in which words."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from apostille.parties.registry import BY_NAME, PARTIES
from integration.plain_client import PlainClient, connected, namespace, until

pytestmark = pytest.mark.integration
CRDS = Path(__file__).parents[2] / "crds"
ABSENT = object()
# The API server's own addition to a schema error, about rules that it did not get to.
_BOILERPLATE = "<nil>: Invalid value: null: some validation rules were not checked"


@pytest.fixture(scope="module")
def kinds(control_plane: Any) -> Any:
    """The control plane with both kinds established."""
    control_plane.kubectl("apply", "-f", str(CRDS))
    for plural in ("federationtrusts", "workloadbindings"):
        control_plane.kubectl("wait", "--for=condition=Established", "--timeout=60s", f"crd/{plural}.apostille.dev")
    return control_plane


@pytest.fixture(scope="module")
def api(kinds: Any) -> Iterator[PlainClient]:
    with connected(kinds.kubeconfig) as client:
        yield client


@pytest.fixture(scope="module")
def where(api: PlainClient) -> str:
    name = f"kinds-{secrets.token_hex(3)}"
    api.ensure(namespace(name))
    return name


def trust(name: str = "refused") -> dict[str, Any]:
    return {
        "apiVersion": "apostille.dev/v1alpha1",
        "kind": "FederationTrust",
        "metadata": {"name": name},
        "spec": {
            "relyingParty": {"type": "AWS", "aws": {"accountID": "123456789012", "region": "eu-west-1"}},
            "audience": "https://kinds.sts.example",
            "allow": [
                {"namespace": "n", "serviceAccounts": ["a"], "targets": ["arn:aws:iam::123456789012:role/reader"]}
            ],
        },
    }


def binding(where: str, name: str = "refused") -> dict[str, Any]:
    return {
        "apiVersion": "apostille.dev/v1alpha1",
        "kind": "WorkloadBinding",
        "metadata": {"name": name, "namespace": where},
        "spec": {
            "trustRef": {"name": "aws-prod"},
            "subject": {"serviceAccountNames": ["reader"]},
            "target": {"aws": {"roleARN": "arn:aws:iam::123456789012:role/reader"}},
        },
    }


@pytest.fixture
def stored(api: PlainClient, where: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """A trust and a binding that the API server took."""
    made = trust(f"kinds-{secrets.token_hex(4)}"), binding(where, f"b-{secrets.token_hex(4)}")
    try:
        yield tuple(dict(api.create(document).body) for document in made)  # type: ignore[misc]
    finally:
        for document in made:
            api.delete(document)


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy with one field set, or dropped where the value is ABSENT; numbers in the path index lists."""
    copy = deepcopy(document)
    *parents, last = path.split(".")
    node: Any = copy
    for key in parents:
        node = node[int(key)] if isinstance(node, list) else node.setdefault(key, {})
    if value is ABSENT:
        del node[last]
    else:
        node[last] = value
    return copy


def apply(kinds: Any, document: dict[str, Any]) -> Any:
    return kinds.kubectl("apply", "-f", "-", input=json.dumps(document), check=False)


def messages(stderr: str) -> list[str]:
    """What kubectl says is wrong, one entry a field."""
    _, _, text = stderr.partition(" is invalid: ")
    lines = [line.removeprefix("* ").strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith(_BOILERPLATE)]


def test_the_crds_apply_without_warnings(api: PlainClient) -> None:
    for path in sorted(CRDS.glob("*.yaml")):
        assert api.apply(yaml.safe_load(path.read_text())).warnings == ()


BAD_TRUSTS: dict[str, tuple[str, Any, str]] = {
    "type without its member": (
        "spec.relyingParty.aws", ABSENT,
        "spec.relyingParty.aws: Invalid value: aws is required when type is AWS, and forbidden otherwise",
    ),
    "a party that nothing serves yet": (
        "spec.relyingParty.type", "Fax",
        'spec.relyingParty.type: Unsupported value: "Fax": supported values: '
        + ", ".join(f'"{name}"' for name in sorted(BY_NAME)),
    ),
    "no type": ("spec.relyingParty.type", ABSENT, "spec.relyingParty.type: Required value"),
    "no relying party": ("spec.relyingParty", ABSENT, "spec.relyingParty: Required value"),
    "eleven digits": (
        "spec.relyingParty.aws.accountID", "12345678901",
        'spec.relyingParty.aws.accountID: Invalid value: "12345678901": spec.relyingParty.aws.accountID in body should '
        "match '^[0-9]{12}$'",
    ),
    "an account that YAML took for a number": (
        "spec.relyingParty.aws.accountID", 123456789012,
        'spec.relyingParty.aws.accountID: Invalid value: "integer": spec.relyingParty.aws.accountID in body must be of '
        'type string: "integer"',
    ),
    "a place, not a region": (
        "spec.relyingParty.aws.region", "Ireland",
        'spec.relyingParty.aws.region: Invalid value: "Ireland": spec.relyingParty.aws.region in body should match '
        "'^((us|eu|ap|sa|ca|me|af|il|mx)-(north|south)?(east|west|central|north|south)-[0-9]{1,2}|cn-(north|northwest)"
        "-[0-9]|us-gov-(east|west)-[0-9])$'",
    ),
    "no region": ("spec.relyingParty.aws.region", ABSENT, "spec.relyingParty.aws.region: Required value"),
    "assertions too short": (
        "spec.ceilings.assertionSeconds", 599,
        "spec.ceilings.assertionSeconds: Invalid value: 599: spec.ceilings.assertionSeconds in body should be greater "
        "than or equal to 600",
    ),
    "assertions too long": (
        "spec.ceilings.assertionSeconds", 86401,
        "spec.ceilings.assertionSeconds: Invalid value: 86401: spec.ceilings.assertionSeconds in body should be less "
        "than or equal to 86400",
    ),
    "sessions too short": (
        "spec.ceilings.sessionSeconds", 899,
        "spec.ceilings.sessionSeconds: Invalid value: 899: spec.ceilings.sessionSeconds in body should be greater than "
        "or equal to 900",
    ),
    "sessions too long": (
        "spec.ceilings.sessionSeconds", 43201,
        "spec.ceilings.sessionSeconds: Invalid value: 43201: spec.ceilings.sessionSeconds in body should be less than "
        "or equal to 43200",
    ),
    "an unknown mode": (
        "spec.enforcement.mode", "Deny",
        'spec.enforcement.mode: Unsupported value: "Deny": supported values: "Audit", "Enforce", "Warn"',
    ),
    "a mode that nothing serves yet": (
        "spec.configuration.mode", "Apply",
        'spec.configuration.mode: Unsupported value: "Apply": supported values: "None", "Render"',
    ),
    "an issuer that nothing serves yet": (
        "spec.issuer.type", "GitHub", 'spec.issuer.type: Unsupported value: "GitHub": supported values: "Cluster"',
    ),
    "a long audience": (
        "spec.audience", "https://" + "x" * 248, "spec.audience: Too long: may not be more than 255 bytes",
    ),
    "nobody allowed": (
        "spec.allow.0.serviceAccounts", [],
        "spec.allow[0].serviceAccounts: Invalid value: 0: spec.allow[0].serviceAccounts in body should have at least 1 "
        "items",
    ),
    "nothing allowed": (
        "spec.allow.0.targets", [],
        "spec.allow[0].targets: Invalid value: 0: spec.allow[0].targets in body should have at least 1 items",
    ),
    "allowed nowhere": ("spec.allow.0.namespace", ABSENT, "spec.allow[0].namespace: Required value"),
    "a vague end": (
        "spec.governance.expiresAt", "tomorrow",
        'spec.governance.expiresAt: Invalid value: "tomorrow": spec.governance.expiresAt in body must be of type '
        'date-time: "tomorrow"',
    ),
    "a long name": (
        "metadata.name", "a" * 64,
        "metadata.name: Invalid value: the name of a FederationTrust has at most 63 characters",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_TRUSTS)
def test_a_bad_trust_gets_one_message_that_names_the_field(kinds: Any, case: str) -> None:
    path, value, message = BAD_TRUSTS[case]

    answer = apply(kinds, changed(trust(), path, value))

    assert answer.returncode != 0
    assert messages(answer.stderr) == [message]


_NAME = (
    "metadata.name: Invalid value: the name of a WorkloadBinding is a DNS label of at most 40 characters, and not "
    "`plan`: volumes and files are named after it"
)
_ONE_TARGET = "spec.target: Invalid value: name exactly one target, the one of the trust's relying party ({})".format(
    ", ".join(party.member for party in PARTIES)
)
BAD_BINDINGS: dict[str, tuple[str, Any, str]] = {
    "a name of 41 characters": ("metadata.name", "a" * 41, _NAME),
    "a name with a dot": ("metadata.name", "s3.reader", _NAME),
    "the name of a file": ("metadata.name", "plan", _NAME),
    "no trust": ("spec.trustRef", ABSENT, "spec.trustRef: Required value"),
    "a trust without a name": ("spec.trustRef.name", ABSENT, "spec.trustRef.name: Required value"),
    "no subject": ("spec.subject", ABSENT, "spec.subject: Required value"),
    "no service accounts": (
        "spec.subject.serviceAccountNames", [],
        "spec.subject.serviceAccountNames: Invalid value: 0: spec.subject.serviceAccountNames in body should have at "
        "least 1 items",
    ),
    "no target": ("spec.target", ABSENT, "spec.target: Required value"),
    "an empty target": ("spec.target", {}, _ONE_TARGET),
    "a token too short": (
        "spec.token.expirationSeconds", 599,
        "spec.token.expirationSeconds: Invalid value: 599: spec.token.expirationSeconds in body should be greater than "
        "or equal to 600",
    ),
    "a duration in words": (
        "spec.token.expirationSeconds", "1h",
        'spec.token.expirationSeconds: Invalid value: "string": spec.token.expirationSeconds in body must be of type '
        'integer: "string"',
    ),
    "an end before the beginning": (
        "spec.validity", {"notBefore": "2027-02-01T00:00:00Z", "notAfter": "2027-01-01T00:00:00Z"},
        "spec.validity.notAfter: Invalid value: notAfter must be later than notBefore",
    ),
    "an end at the beginning, in another zone": (
        "spec.validity", {"notBefore": "2027-01-01T00:00:00Z", "notAfter": "2027-01-01T01:00:00+01:00"},
        "spec.validity.notAfter: Invalid value: notAfter must be later than notBefore",
    ),
    "a delivery that nothing serves yet": (
        "spec.delivery.mode", "Proxy",
        'spec.delivery.mode: Unsupported value: "Proxy": supported values: "Auto", "Init", "SDK", "Sidecar", '
        '"TokenOnly"',
    ),
    "containers that are named and left out at once": (
        "spec.delivery.containers", {"include": ["app"], "exclude": ["logs"]},
        "spec.delivery.containers.exclude: Forbidden: give include or exclude, not both",
    ),
    "not a container's name": (
        "spec.delivery.containers.include", ["A_B"],
        'spec.delivery.containers.include[0]: Invalid value: "A_B": spec.delivery.containers.include[0] in body should '
        "match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_BINDINGS)
def test_a_bad_binding_gets_one_message_that_names_the_field(kinds: Any, where: str, case: str) -> None:
    path, value, message = BAD_BINDINGS[case]

    answer = apply(kinds, changed(binding(where), path, value))

    assert answer.returncode != 0
    assert messages(answer.stderr) == [message]


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("trust", "spec.colour"),
        ("trust", "spec.relyingParty.oracle"),
        ("trust", "spec.relyingParty.aws.bucket"),
        ("trust", "spec.issuer.url"),
        ("binding", "spec.target.oracle"),
        ("binding", "spec.subject.claims"),
        ("binding", "spec.token.audience"),
    ],
)
def test_an_unknown_field_is_refused_by_name(kinds: Any, where: str, kind: str, path: str) -> None:
    document = trust() if kind == "trust" else binding(where)

    answer = apply(kinds, changed(document, path, {}))

    assert answer.returncode != 0
    assert answer.stderr.strip().endswith(f'strict decoding error: unknown field "{path}"')


_MOVE = "audience is immutable: declare a new trust and move its bindings over"


@pytest.mark.parametrize(
    ("before", "after"),
    [("https://a.example", "https://b.example"), ("https://a.example", ABSENT), (ABSENT, "https://a.example")],
    ids=["changed", "removed", "added"],
)
def test_an_audience_cannot_be_exchanged(kinds: Any, api: PlainClient, before: Any, after: Any) -> None:
    first = changed(trust(f"kinds-{secrets.token_hex(4)}"), "spec.audience", before)
    try:
        assert apply(kinds, first).returncode == 0

        answer = apply(kinds, changed(trust(first["metadata"]["name"]), "spec.audience", after))

        assert messages(answer.stderr) == [f"spec.audience: Forbidden: {_MOVE}"]
    finally:
        api.delete(first)


def test_a_binding_cannot_be_moved_to_another_trust(kinds: Any, stored: Any) -> None:
    kept = {"name": stored[1]["metadata"]["name"], "namespace": stored[1]["metadata"]["namespace"]}

    answer = apply(kinds, {**changed(stored[1], "spec.trustRef.name", "another"), "metadata": kept})

    assert messages(answer.stderr) == [
        "spec.trustRef: Forbidden: trustRef is immutable: declare a new object and move over, so that nothing is cut "
        "off by surprise"
    ]


def test_everything_else_can_be_changed(api: PlainClient, stored: Any) -> None:
    for document, path, value in (
        (stored[0], "spec.enforcement.mode", "Enforce"),
        (stored[0], "spec.suspended", True),
        (stored[0], "spec.allow", []),
        (stored[1], "spec.suspended", True),
        (stored[1], "spec.target.aws.roleARN", "arn:aws:iam::123456789012:role/other"),
    ):
        kept = {key: document["metadata"].get(key) for key in ("name", "namespace") if document["metadata"].get(key)}
        api.apply({**changed(document, path, value), "metadata": kept})


def test_defaults_are_visible_in_what_is_stored(stored: Any) -> None:
    """But for fields that came after 0.1.0: its processes, which read them in an upgrade, would not know them."""
    made_trust, made_binding = (document["spec"] for document in stored)

    assert made_trust == trust()["spec"] | {
        "issuer": {"type": "Cluster"},
        "enforcement": {"mode": "Audit", "force": False},
        "ceilings": {"assertionSeconds": 3600, "sessionSeconds": 3600},
        "configuration": {"mode": "Render"},
        "governance": {},
        "sharedAudience": False,
        "suspended": False,
    }
    assert made_binding == binding("any")["spec"] | {
        "token": {"expirationSeconds": 3600},
        "delivery": {"mode": "Auto", "containers": {"include": []}},
        "validity": {},
        "suspended": False,
    }


def test_lists_that_grant_do_not_add_up(api: PlainClient, stored: Any) -> None:
    """Two managers: the second must take the list over knowingly, and then it is the whole list."""
    name = stored[0]["metadata"]["name"]
    first, second = trust(name), changed(trust(name), "spec.allow.0.serviceAccounts", ["b"])
    api.apply(first, manager="first")
    path = f"/apis/apostille.dev/v1alpha1/federationtrusts/{name}?fieldManager=second"

    unforced = api.request("PATCH", path, second, content_type="application/apply-patch+yaml")
    forced = api.apply(second, manager="second")

    assert unforced.code == 409
    assert ".spec.allow" in unforced.message
    assert [allow["serviceAccounts"] for allow in forced.body["spec"]["allow"]] == [["b"]]


def _fields(schema: dict[str, Any], schemas: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from _fields(field, schemas, f"{path}.{name}")
        yield from _fields(field.get("items", {}), schemas, f"{path}.{name}[]")


@pytest.mark.parametrize("kind", ["FederationTrust", "WorkloadBinding"])
def test_the_published_schema_reads_like_api_documentation(api: PlainClient, kind: str) -> None:
    until(lambda: api.request("GET", "/openapi/v3/apis/apostille.dev/v1alpha1").ok, "the published schema")
    schemas = api.request("GET", "/openapi/v3/apis/apostille.dev/v1alpha1").body["components"]["schemas"]
    schema = next(schema for name, schema in schemas.items() if name.endswith(f".{kind}") and "properties" in schema)
    own = {part: schema["properties"][part] for part in ("spec", "status")}
    fields = dict(_fields({"properties": own}, schemas, ""))

    assert schema["description"].startswith(f"{kind} says")
    assert len(fields) > 20
    assert [path for path, field in fields.items() if len(field.get("description", "")) < 10] == []
    # An unbounded field would let one object fill etcd, and makes the API server refuse CEL rules for their cost.
    strings = {
        path: field
        for path, field in fields.items()
        if field.get("type") == "string" and not {"enum", "format"} & field.keys()
    }
    arrays = {path: field for path, field in fields.items() if field.get("type") == "array"}
    assert [path for path, field in strings.items() if "maxLength" not in field] == []
    assert [path for path, field in arrays.items() if "maxItems" not in field] == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("federationtrust.spec", ["audience is the one receiver", "relyingParty <Object> -required-"]),
        ("ftrust.spec.enforcement.mode", ["ENUM: Audit Enforce Warn", "Only under Enforce does ending a binding stop"]),
        ("wbind.spec", ["trustRef names the trust", "subject says whose assertions are exchanged"]),
        ("wbind.spec.delivery.mode", ["Auto is SDK where the vendor's"]),
    ],
)
def test_kubectl_explains(kinds: Any, path: str, words: list[str]) -> None:
    # The published schema follows the kinds by a moment.
    until(lambda: kinds.kubectl("explain", path, check=False).returncode == 0, f"kubectl explain {path}", 0.2)
    shown = " ".join(kinds.kubectl("explain", path).stdout.split())

    assert [word for word in words if word not in shown] == []
