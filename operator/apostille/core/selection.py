"""Which pods the API server asks about: the webhook configurations, in two tiers (design §4).

*Bound* pairs fail closed. *Allowed* pairs, which may be bound any moment, are asked about but never held up by an
outage. *Elsewhere* nothing is called.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from apostille.core.settings import ClusterSettings
from apostille.model import names
from apostille.model.identity import ServiceAccount

# An expression may have 100,000 code points; a pair takes at most 63 + 253 and a few for quotes.
SHARD_CODE_POINTS = 60_000
MAX_CODE_POINTS, UNBOUNDED = 95_000, 1_000_000
# A binding is answered once the pods that its trust allows are asked about, which takes seconds on a busy API server.
BOUND_TIMEOUT, ALLOWED_TIMEOUT, PROBE_TIMEOUT, KINDS_TIMEOUT = 10, 5, 3, 20


def _pairs_tail(account: str, given: str) -> str:
    # Without its first half an unknown namespace, and without its second a mirror pod, which has no service account,
    # would be an *error*, which a webhook that fails closed makes a refusal.
    return f"].exists(m, request.namespace in m && {given} && {account} in m[request.namespace])"


_PAIRS_TAIL = _pairs_tail("object.spec.serviceAccountName", "has(object.spec.serviceAccountName)")

Document = dict[str, Any]
Pairs = Collection[ServiceAccount]


class Selected(NamedTuple):
    """A pair in one of the tiers."""

    tier: Literal["bound", "allowed"]
    account: ServiceAccount


def selection(
    bound: Pairs, allowed: Pairs, settings: ClusterSettings, again: Collection[tuple[Selected, int]] = ()
) -> list[Document]:
    """MutatingWebhookConfigurations, one per shard of namespaces. ``allowed`` may include bound pairs; those go first.

    Deterministic: the same pairs give the same documents. Empty when nothing is bound or allowed. ``again`` are numbers
    by which a configuration answers its probe otherwise than one before it with the same pairs.
    """
    rest = set(allowed) - set(bound)
    namespaces = sorted({pair.namespace for pair in (*bound, *rest)})
    return [
        _configuration(
            number,
            [pair for pair in sorted(bound) if pair.namespace in shard],
            [pair for pair in sorted(rest) if pair.namespace in shard],
            settings,
            [one for one in sorted(again) if one[0].account.namespace in shard],
        )
        for number, shard in enumerate(_shards(namespaces, [*bound, *rest]))
    ]


def _shards(namespaces: Sequence[str], pairs: Iterable[ServiceAccount]) -> list[set[str]]:
    size = _sizes(pairs)
    shards: list[set[str]] = []
    room = 0
    for namespace in namespaces:
        if not shards or room < size[namespace]:
            shards.append(set())
            room = SHARD_CODE_POINTS
        shards[-1].add(namespace)
        room -= size[namespace]
    return shards


def _sizes(pairs: Iterable[ServiceAccount]) -> dict[str, int]:
    size: dict[str, int] = {}
    for pair in pairs:
        size[pair.namespace] = size.get(pair.namespace, len(pair.namespace) + 8) + len(pair.name) + 3
    return size


def shards_needed(bound: Pairs, allowed: Pairs) -> int:
    """How many configurations these pairs take; for a namespace with more than an expression holds none suffices."""
    pairs = {*bound, *allowed}
    size = _sizes(pairs)
    if any(cost > MAX_CODE_POINTS for cost in size.values()):
        return UNBOUNDED
    return len(_shards(sorted(size), pairs))


def sharded(pairs: Pairs) -> list[list[ServiceAccount]]:
    """The pairs in as many lists as expressions are needed; a namespace stands in one of them."""
    shards = _shards(sorted({pair.namespace for pair in pairs}), pairs)
    return [[pair for pair in sorted(pairs) if pair.namespace in shard] for shard in shards]


def pairs_expression(
    pairs: Sequence[ServiceAccount],
    account: str = "object.spec.serviceAccountName",
    given: str = "has(object.spec.serviceAccountName)",
) -> str:
    """CEL that is true for exactly these pairs; ``account`` is where the service account stands, if ``given``."""
    names_by_namespace: dict[str, list[str]] = {}
    for pair in pairs:
        names_by_namespace.setdefault(pair.namespace, []).append(pair.name)
    literal = ", ".join(f"{cel_string(ns)}: {cel_list(sorted(sas))}" for ns, sas in sorted(names_by_namespace.items()))
    return f"[{{{literal}}}{_pairs_tail(account, given)}"


def cel_string(value: str) -> str:
    """A CEL string literal: JSON's escapes are a subset of CEL's, but for surrogates, which CEL does not know."""
    return json.dumps(value, ensure_ascii=False)


# CEL over a mount ``m``: `names.holds_identity`.
HOLDS_IDENTITY = (
    f"m.name.startsWith({cel_string(names.TOKEN_VOLUME_PREFIX)}) || "
    f"m.name.startsWith({cel_string(names.CREDENTIALS_VOLUME_PREFIX)}) || "
    f"m.name == {cel_string(names.CREDENTIALS_VOLUME)}"
)


def cel_list(values: Iterable[str]) -> str:
    """A CEL list literal of strings."""
    return "[" + ", ".join(cel_string(value) for value in values) + "]"


def _configuration(
    number: int,
    bound: Sequence[ServiceAccount],
    allowed: Sequence[ServiceAccount],
    settings: ClusterSettings,
    again: Sequence[tuple[Selected, int]],
) -> Document:
    webhooks = []
    if bound:
        webhooks.append(_tier("bound-workloads", bound, "Fail", BOUND_TIMEOUT, "/mutate", settings))
    if allowed:
        webhooks.append(_tier("allowed-workloads", allowed, "Ignore", ALLOWED_TIMEOUT, "/mutate/allowed", settings))
    name = f"{names.SELECTION_PREFIX}{number}"
    digest = hashlib.sha256(json.dumps([*webhooks, *again], sort_keys=True).encode()).hexdigest()[:16]
    webhooks.append(_probe(name, digest, settings))
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": metadata(name, settings),
        "webhooks": webhooks,
    }


def metadata(name: str, settings: ClusterSettings) -> Document:
    """Of a generated cluster object: recognisable, and gone with the anchor."""
    made: Document = {"name": name, "labels": {names.MANAGED_LABEL: names.MANAGED}}
    if settings.owner is not None:
        made["ownerReferences"] = [dict(settings.owner)]
    return made


def generated(raw: Mapping[str, Any]) -> bool:
    """Whether it is one of these, as 0.1.0 knows them too: not an early warning's."""
    labels = (raw.get("metadata") or {}).get("labels") or {}
    return bool(labels.get(names.MANAGED_LABEL) == names.MANAGED)


def client_config(path: str, settings: ClusterSettings) -> Document:
    """The WebhookClientConfig for one path of the admission server."""
    config: Document = {"caBundle": settings.ca_bundle}
    if (service := settings.client_config.get("service")) is not None:
        return {**config, "service": {**service, "path": path}}
    return {**config, "url": str(settings.client_config["url"]).rstrip("/") + path}


def _tier(
    name: str, pairs: Sequence[ServiceAccount], policy: str, timeout: int, path: str, settings: ClusterSettings
) -> Document:
    return {
        "name": f"{name}.{names.GROUP}",
        "admissionReviewVersions": ["v1"],
        "clientConfig": client_config(path, settings),
        "failurePolicy": policy,
        "timeoutSeconds": timeout,
        "sideEffects": "None",
        "matchPolicy": "Equivalent",
        "reinvocationPolicy": "IfNeeded",
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["pods"],
                "scope": "Namespaced",
            }
        ],
        "namespaceSelector": {
            "matchExpressions": [
                {
                    "key": "kubernetes.io/metadata.name",
                    "operator": "In",
                    "values": sorted({pair.namespace for pair in pairs}),
                }
            ]
        },
        "objectSelector": {},
        "matchConditions": [{"name": "pairs", "expression": pairs_expression(pairs)}],
    }


def _probe(configuration: str, digest: str, settings: ClusterSettings) -> Document:
    """Shows through the API server that the endpoint is reached and that *this* selection is in force.

    The controller creates a ConfigMap of a reserved name as a dry run in its own namespace; the answer is a warning
    that carries the digest.
    """
    return {
        "name": f"probe.{names.GROUP}",
        "admissionReviewVersions": ["v1"],
        "clientConfig": client_config(f"/probe/{configuration}/{digest}", settings),
        "failurePolicy": "Ignore",
        "timeoutSeconds": PROBE_TIMEOUT,
        "sideEffects": "None",
        "matchPolicy": "Exact",
        "reinvocationPolicy": "Never",
        "rules": [
            {
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"],
                "scope": "Namespaced",
            }
        ],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": settings.own_namespace}},
        "objectSelector": {},
        "matchConditions": [
            {
                "name": "probe",
                "expression": f"request.dryRun == true && object.metadata.name == {cel_string(names.PROBE)}",
            }
        ],
    }  # fmt: skip


def probe_warning(configuration: str, digest: str) -> str:
    """What the admission server answers to a probe."""
    return f"apostille: {configuration} {digest} in force"


def expected_warnings(configurations: Iterable[Mapping[str, Any]]) -> set[str]:
    """The warnings by which a probe shows that these configurations are in force."""
    expected = set()
    for configuration in configurations:
        for webhook in configuration["webhooks"]:
            config = webhook["clientConfig"]
            path = config["service"]["path"] if "service" in config else config["url"]
            _, found, rest = path.partition("/probe/")
            if found:
                name, _, digest = rest.partition("/")
                expected.add(probe_warning(name, digest))
    return expected


def kinds_webhooks(settings: ClusterSettings) -> Document:
    """The ValidatingWebhookConfiguration for the two kinds.

    DELETE is never judged, nor a change beside the spec: finalizers and labels must come off with nobody there to ask.
    Its probe shows also where nothing is selected yet that the endpoint is reached.
    """
    judging = {
        "name": f"kinds.{names.GROUP}",
        "admissionReviewVersions": ["v1"],
        "clientConfig": client_config("/validate", settings),
        "failurePolicy": "Fail",
        "timeoutSeconds": KINDS_TIMEOUT,
        "sideEffects": "None",
        "matchPolicy": "Equivalent",
        "matchConditions": [{"name": "spec", "expression": "oldObject == null || object.spec != oldObject.spec"}],
        "rules": [
            {
                "apiGroups": [names.GROUP],
                "apiVersions": [names.VERSION],
                "operations": ["CREATE", "UPDATE"],
                "resources": [names.TRUST_PLURAL, names.BINDING_PLURAL],
                "scope": "*",
            }
        ],
        "namespaceSelector": {},
        "objectSelector": {},
    }
    digest = hashlib.sha256(json.dumps(judging, sort_keys=True).encode()).hexdigest()[:16]
    probe = _probe(names.KINDS_WEBHOOKS, digest, settings)
    del probe["reinvocationPolicy"]  # only mutating webhooks have it
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": metadata(names.KINDS_WEBHOOKS, settings),
        "webhooks": [judging, probe],
    }


def selected(configuration: Mapping[str, Any]) -> tuple[frozenset[ServiceAccount], frozenset[ServiceAccount]]:
    """The bound and the allowed pairs of a configuration that ``selection`` wrote; none of any other."""
    pairs: dict[str, list[ServiceAccount]] = {"Fail": [], "Ignore": []}
    for webhook in configuration.get("webhooks") or ():
        for condition in webhook.get("matchConditions") or ():
            pairs[webhook.get("failurePolicy", "Fail")] += parse_pairs(condition["expression"])
    return frozenset(pairs["Fail"]), frozenset(pairs["Ignore"])


def parse_pairs(expression: str) -> list[ServiceAccount]:
    """The pairs of an expression that ``pairs_expression`` wrote; none for any other."""
    if not (expression.startswith("[") and expression.endswith(_PAIRS_TAIL)):
        return []
    try:
        literal = msgspec.json.decode(expression[1 : -len(_PAIRS_TAIL)], type=dict[str, list[str]])
    except msgspec.DecodeError:
        return []
    return [ServiceAccount(namespace, name) for namespace, accounts in literal.items() for name in accounts]
