"""What the API server refuses by itself: ValidatingAdmissionPolicies with the grants as literals (design §5.2).

For a *protected* audience a token request, or a new pod that projects such a token, needs a live grant, stands alone,
stays within the ceiling and is bound to a pod. The policies hold as last written when Apostille is down.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apostille.core.selection import HOLDS_IDENTITY, cel_list, cel_string, metadata
from apostille.core.settings import ClusterSettings
from apostille.kinds.federation_trust import Mode
from apostille.model import names
from apostille.model.identity import ServiceAccount
from apostille.rules import catalogue

SHARD_CODE_POINTS = 60_000
# An expression may have 100,000 code points (kube-apiserver pkg/apis/cel/config.go), here with some margin.
MAX_CODE_POINTS, UNBOUNDED = 95_000, 1_000_000
# An answer carries 4,096 characters of warnings at most (kube-apiserver endpoints/filters/warning.go); a policy's takes
# up to 180, and each shard has two in each of three modes.
SHARDS_A_PROBE = 3
# A probe creates a ConfigMap, as a dry run, which none of these policies judges otherwise.
_IS_PROBE = "request.resource.resource == 'configmaps'"
_PROBED = "apostille: policy "
_ACTIONS: Mapping[Mode, list[str]] = {"Audit": ["Audit"], "Warn": ["Warn", "Audit"], "Enforce": ["Deny"]}

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class Grant:
    """A service account may have tokens for ``audience`` of at most ``seconds``."""

    account: ServiceAccount
    audience: str
    seconds: int

    @property
    def key(self) -> str:
        """In the policies' map. Neither namespaces nor names contain a slash, so the key is unambiguous."""
        return f"{self.account.namespace}/{self.account.name}/{self.audience}"


@dataclass(frozen=True, slots=True)
class Protection:
    """One audience under a mode. ``spared`` are namespaces with users that were there first."""

    audience: str
    mode: Mode
    spared: tuple[str, ...] = ()


def policies(
    protections: Sequence[Protection],
    grants: Collection[Grant],
    settings: ClusterSettings,
    again: Collection[tuple[Grant, int]] = (),
) -> list[Document]:
    """Policies and their bindings, in the order in which they are to be written.

    Deterministic. An audience that no trust protects is not touched. ``again`` are numbers of grants, by which a policy
    answers its probe otherwise than one before it with the same grants.
    """
    documents: list[Document] = []
    numbers = dict(again)
    for mode in ("Enforce", "Warn", "Audit"):
        under = sorted((p for p in protections if p.mode == mode), key=lambda p: p.audience)
        if not under:
            continue
        audiences = {p.audience for p in under}
        mine = sorted(grant for grant in grants if grant.audience in audiences)
        # By number, not by namespace: these names stand in RBAC rules, and no namespace can look like another shard.
        for number, (low, high, shard) in enumerate(_ranges(mine)):
            suffix = f"{mode.lower()}-{number}"
            tokens, pods = (policy(under, shard, low, high, settings) for policy in (_token_policy, _pod_policy))
            returned = [(grant.key, numbers[grant]) for grant in shard if grant in numbers]
            documents += _bound(f"tokens-{suffix}", tokens, mode, number, settings, returned)
            documents += _bound(f"pods-{suffix}", pods, mode, number, settings, returned)
    if documents:
        documents += _bound(
            "debug",
            _ephemeral_policy([p for p in protections if p.mode == "Enforce"], settings),
            "Enforce",
            0,
            settings,
        )
    return documents


def shards_needed(grants: Sequence[Grant]) -> int:
    """How many policies of a sort these grants of one mode take, in order. A namespace stands in one of them: one with
    more grants than a policy can hold counts as if no number sufficed.
    """
    ranges = _ranges(grants)
    if any(sum(_cost(grant) for grant in shard) > MAX_CODE_POINTS for *_, shard in ranges):
        return UNBOUNDED
    return len(ranges)


def granted(policy: Mapping[str, Any]) -> list[Grant]:
    """The grants that stand in a policy that ``policies`` wrote; none in any other."""
    found = []
    for variable in (policy.get("spec") or {}).get("variables") or ():
        if variable.get("name") == "grants":
            for key, seconds in _literal(variable.get("expression", "")).items():
                namespace, _, rest = key.partition("/")
                name, _, audience = rest.partition("/")
                if audience:
                    found.append(Grant(ServiceAccount(namespace, name), audience, seconds))
    return found


def without(policy: Mapping[str, Any], accounts: Collection[ServiceAccount], audience: str) -> list[Document] | None:
    """The variables of a policy without these grants; None where it has none of them."""
    here = granted(policy)
    keep = [grant for grant in here if grant.account not in accounts or grant.audience != audience]
    if len(keep) == len(here):
        return None
    variables = policy["spec"]["variables"]
    return [{**one, "expression": _map(keep)} if one["name"] == "grants" else dict(one) for one in variables]


def _map(grants: Sequence[Grant]) -> str:
    literal = ", ".join(f"{cel_string(grant.key)}: {grant.seconds}" for grant in grants)
    return f"{{{literal}}}" if grants else "{'': 0}"


def _literal(expression: str) -> dict[str, int]:
    try:
        read = json.loads(expression)
    except ValueError:
        return {}
    return {key: seconds for key, seconds in read.items() if isinstance(seconds, int)} if isinstance(read, dict) else {}


def probe_names(documents: Collection[Mapping[str, Any]]) -> list[str]:
    """Names of the ConfigMaps whose dry runs are answered by these policies, and by any of as few shards."""
    numbers = [int(number) for d in documents if (number := d["metadata"]["name"].rpartition("-")[2]).isdigit()]
    return [_probe_name(number) for number in range(0, max(numbers, default=0) + 1, SHARDS_A_PROBE)]


def span(policy: Mapping[str, Any]) -> tuple[str, str]:
    """The half-open range of namespaces that a policy of these judges; an empty end is no end."""
    ends = {"from": "", "before": ""}
    for condition in (policy.get("spec") or {}).get("matchConditions") or ():
        if condition["name"] in ends:
            text = condition["expression"]
            ends[condition["name"]], _ = json.JSONDecoder().raw_decode(text, text.index('"'))
    return ends["from"], ends["before"]


def _probe_name(shard: int) -> str:
    return f"{names.PROBE}-{shard // SHARDS_A_PROBE}"


def probe_warning(name: str, digest: str) -> str:
    """What the API server answers to a probe once the policy ``name`` is in force as it was when it had this digest."""
    return f"{_PROBED}{name} {digest}"


def expected_warnings(documents: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The warnings of policies by which a probe shows that these documents, and no others, are in force."""
    policies = (document for document in documents if document["kind"] == "ValidatingAdmissionPolicy")
    return frozenset(str(policy["spec"]["validations"][0]["message"]) for policy in policies)


def warnings_of_policies(warnings: Iterable[str]) -> frozenset[str]:
    """Of the warnings that came with a probe, those of policies."""
    return frozenset(warning for warning in warnings if warning.startswith(_PROBED))


def _ranges(grants: Sequence[Grant]) -> list[tuple[str, str, list[Grant]]]:
    """Half-open ranges of namespaces that together cover all of them, each with its grants."""
    cuts: list[tuple[str, list[Grant]]] = [("", [])]
    room, last = SHARD_CODE_POINTS, ""
    for grant in grants:
        cost = _cost(grant)
        if room < cost and grant.account.namespace != last:
            cuts.append((grant.account.namespace, []))
            room = SHARD_CODE_POINTS
        cuts[-1][1].append(grant)
        room -= cost
        last = grant.account.namespace
    ends = [low for low, _ in cuts[1:]] + [""]
    return [(low, high, shard) for (low, shard), high in zip(cuts, ends, strict=True)]


def _cost(grant: Grant) -> int:
    return len(grant.key) + 10


def _bound(
    name: str,
    spec: Document,
    mode: Mode,
    shard: int,
    settings: ClusterSettings,
    returned: Sequence[tuple[str, int]] = (),
) -> list[Document]:
    """A policy after its bindings: one without its policy does nothing, a policy without its binding goes unnoticed.

    Each answers a probe by itself, with a warning that carries its digest. A policy of its own for that, written last,
    would not do: the API server reads policies one by one, compiling in between (kube-apiserver
    pkg/admission/plugin/policy/generic/policy_source.go, calculatePolicyData), so that the last one may be in force a
    second before the others. The second binding sees to it that a probe is warned and nothing else is touched.
    """
    full = names.POLICY_PREFIX + name
    judged, asked = spec["matchConstraints"], _rule("configmaps", "CREATE")
    digest = hashlib.sha256(json.dumps([spec, mode, *returned], sort_keys=True).encode()).hexdigest()[:12]
    own = {"matchLabels": {"kubernetes.io/metadata.name": settings.own_namespace}}
    probed = {
        **spec,
        "matchConstraints": {"resourceRules": [*judged["resourceRules"], *asked["resourceRules"]]},
        "matchConditions": [
            *({**one, "expression": f"{_IS_PROBE} || ({one['expression']})"} for one in spec["matchConditions"]),
            {
                "name": "probe",
                "expression": f"!({_IS_PROBE}) || "
                f"(request.dryRun == true && object.metadata.name == {cel_string(_probe_name(shard))})",
            },
        ],
        "validations": [
            {"expression": f"!({_IS_PROBE})", "message": probe_warning(name, digest)},
            *({**one, "expression": f"{_IS_PROBE} || ({one['expression']})"} for one in spec["validations"]),
        ],
    }
    return [
        _binding(full, full, _ACTIONS[mode], judged, settings),
        _binding(f"{full}-probe", full, ["Warn"], {**asked, "namespaceSelector": own}, settings),
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": metadata(full, settings),
            "spec": probed,
        },
    ]


def _binding(
    name: str, policy: str, actions: Sequence[str], resources: Document, settings: ClusterSettings
) -> Document:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": metadata(name, settings),
        "spec": {"policyName": policy, "validationActions": list(actions), "matchResources": resources},
    }


def _protected(protections: Sequence[Protection]) -> list[Document]:
    spared = [f"{namespace} {p.audience}" for p in protections for namespace in p.spared]
    return [
        {"name": "guarded", "expression": cel_list(p.audience for p in protections)},
        {"name": "spared", "expression": cel_list(spared)},
    ]


def _common(protections: Sequence[Protection], grants: Sequence[Grant]) -> list[Document]:
    return [*_protected(protections), {"name": "grants", "expression": _map(grants)}]


def _scope(low: str, high: str, settings: ClusterSettings) -> list[Document]:
    excluded = cel_list((*names.SYSTEM_NAMESPACES, settings.own_namespace))
    conditions = [{"name": "not-the-system", "expression": f"!(request.namespace in {excluded})"}]
    if low:
        conditions.append({"name": "from", "expression": f"request.namespace >= {cel_string(low)}"})
    if high:
        conditions.append({"name": "before", "expression": f"request.namespace < {cel_string(high)}"})
    return conditions


def _rule(resource: str, operation: str) -> Document:
    return {
        "resourceRules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": [operation],
                "resources": [resource],
                "scope": "Namespaced",
            }
        ]
    }


def _validation(expression: str, message: str, reason: str = "Forbidden") -> Document:
    return {"expression": expression, "messageExpression": message, "reason": reason}


def _token_policy(
    protections: Sequence[Protection], grants: Sequence[Grant], low: str, high: str, settings: ClusterSettings
) -> Document:
    """``serviceaccounts/token``: what every kubelet and ``kubectl create token`` asks, dry runs included."""
    touched = "variables.touched"
    key = "request.namespace + '/' + request.name + '/' + " + touched + "[0]"
    granted = f"({key}) in variables.grants"
    return {
        "failurePolicy": "Fail",
        "matchConstraints": _rule("serviceaccounts/token", "CREATE"),
        "matchConditions": [
            *_scope(low, high, settings),
            {
                "name": "protected-audience",
                "expression": f"object.spec.audiences.exists(a, a in {cel_list(p.audience for p in protections)})",
            },
        ],
        "variables": [
            *_common(protections, grants),
            {
                "name": "touched",
                "expression": "object.spec.audiences.filter(a, a in variables.guarded && "
                "!((request.namespace + ' ' + a) in variables.spared))",
            },
            {"name": "who", "expression": "'service account ' + request.name + ' of namespace ' + request.namespace"},
        ],
        "validations": [
            _validation(
                f"{touched}.size() == 0 || object.spec.audiences.size() == 1",
                f"'spec.audiences: ' + {touched}[0] + ' must be requested alone, not beside other audiences: each "
                f"receiver could replay the token to the others [{catalogue.AUD_MULTI.id}]'",
            ),
            _validation(
                f"{touched}.size() == 0 || {granted}",
                f"'spec.audiences: no live WorkloadBinding grants ' + variables.who + ' tokens for audience ' + "
                f"{touched}[0] + '; declare one, or see why it ended: kubectl get wbind -n ' + request.namespace + "
                f"' [{catalogue.TOKEN_UNGRANTED.id}]'",
            ),
            _validation(
                f"{touched}.size() == 0 || (has(object.spec.boundObjectRef) && object.spec.boundObjectRef != null && "
                "object.spec.boundObjectRef.kind == 'Pod')",
                f"'spec.boundObjectRef: a token for audience ' + {touched}[0] + ' must be bound to a Pod, so that it "
                f"ends with it [{catalogue.TOKEN_UNBOUND.id}]'",
            ),
            _validation(
                f"{touched}.size() == 0 || !({granted}) || object.spec.expirationSeconds <= variables.grants[{key}]",
                "'spec.expirationSeconds: ' + string(object.spec.expirationSeconds) + ' is over the ' + "
                f"({granted} ? string(variables.grants[{key}]) : '0') + ' seconds that are granted to ' + "
                f"variables.who + ' for audience ' + {touched}[0] + ' [{catalogue.TOKEN_LONG.id}]'",
            ),
        ],
    }


def _pod_policy(
    protections: Sequence[Protection], grants: Sequence[Grant], low: str, high: str, settings: ClusterSettings
) -> Document:
    """New pods that project a token for a protected audience. CREATE only: old pods must be able to lose finalizers."""
    sources = "v.projected.sources"
    has_token = "has(s.serviceAccountToken) && has(s.serviceAccountToken.audience)"  # noqa: S105 - CEL
    account = "(has(object.spec.serviceAccountName) ? object.spec.serviceAccountName : 'default')"
    spared = "(request.namespace + ' ' + s.serviceAccountToken.audience) in variables.spared"
    key = "variables.prefix + s.serviceAccountToken.audience"
    seconds = "(has(s.serviceAccountToken.expirationSeconds) ? s.serviceAccountToken.expirationSeconds : 3600)"
    guarded = cel_list(p.audience for p in protections)
    return {
        "failurePolicy": "Fail",
        "matchConstraints": _rule("pods", "CREATE"),
        "matchConditions": [
            *_scope(low, high, settings),
            {
                "name": "protected-audience",
                "expression": "has(object.spec.volumes) && object.spec.volumes.exists(v, has(v.projected) && "
                f"has({sources}) && {sources}.exists(s, {has_token} && s.serviceAccountToken.audience in {guarded}))",
            },
        ],
        "variables": [
            *_common(protections, grants),
            {"name": "prefix", "expression": f"request.namespace + '/' + {account} + '/'"},
            {
                "name": "volumes",
                "expression": "object.spec.volumes.filter(v, has(v.projected) && "
                f"has({sources}) && {sources}.exists(s, {has_token} && s.serviceAccountToken.audience in "
                f"variables.guarded && !({spared})))",
            },
            {
                "name": "who",
                "expression": f"'service account ' + {account} + ' of namespace ' + request.namespace",
            },
            # One list for each way to be wrong, so that the message names the volume that is.
            {
                "name": "beside",
                "expression": "variables.volumes.filter(v, "
                f"{sources}.filter(s, has(s.serviceAccountToken)).size() != 1)",
            },
            {
                "name": "ungranted",
                "expression": f"variables.volumes.filter(v, {sources}.exists(s, {has_token} && "
                f"s.serviceAccountToken.audience in variables.guarded && !({spared}) "
                f"&& !(({key}) in variables.grants)))",
            },
            {
                "name": "long",
                "expression": f"variables.volumes.filter(v, {sources}.exists(s, {has_token} && "
                f"({key}) in variables.grants && {seconds} > variables.grants[{key}]))",
            },
        ],
        "validations": [
            _validation(
                "variables.beside.size() == 0",
                "'spec.volumes: volume ' + variables.beside[0].name + ' projects a token for a protected audience "
                f"beside others; give each token a volume of its own [{catalogue.AUD_MULTI.id}]'",
            ),
            _validation(
                "variables.ungranted.size() == 0",
                "'spec.volumes: volume ' + variables.ungranted[0].name + ' projects a token that no live "
                "WorkloadBinding grants to ' + variables.who + "
                "'; declare a binding and leave the volume to Apostille, or remove it "
                f"[{catalogue.TOKEN_UNGRANTED.id}]'",
            ),
            _validation(
                "variables.long.size() == 0",
                "'spec.volumes: volume ' + variables.long[0].name + ' asks for a longer token than is granted to ' + "
                f"variables.who + '; lower expirationSeconds [{catalogue.TOKEN_LONG.id}]'",
            ),
        ],
    }


def _ephemeral_policy(protections: Sequence[Protection], settings: ClusterSettings) -> Document:
    """A debug container could read the pod's assertion; it has no business with it, whoever declared the volume."""
    sources = "v.projected.sources"
    audience = "s.serviceAccountToken.audience"
    ours = f"{HOLDS_IDENTITY} || m.name in variables.identities"
    return {
        "failurePolicy": "Fail",
        "matchConstraints": _rule("pods/ephemeralcontainers", "UPDATE"),
        "matchConditions": [*_scope("", "", settings)],
        "variables": [
            *_protected(sorted(protections, key=lambda p: p.audience)),
            {
                "name": "identities",
                "expression": f"has(object.spec.volumes) ? object.spec.volumes.filter(v, has(v.projected) && "
                f"has({sources}) && {sources}.exists(s, has(s.serviceAccountToken) && has({audience}) && "
                f"{audience} in variables.guarded && !((request.namespace + ' ' + {audience}) in variables.spared)))"
                ".map(v, v.name) : []",
            },
        ],
        "validations": [
            _validation(
                "!has(object.spec.ephemeralContainers) || object.spec.ephemeralContainers.all(c, "
                f"!has(c.volumeMounts) || c.volumeMounts.all(m, !({ours})))",
                "'spec.ephemeralContainers: a debug container may not mount the volumes of a workload identity; "
                f"leave out its volumeMounts [{catalogue.TOKEN_MOUNTED.id}]'",
            )
        ],
    }
