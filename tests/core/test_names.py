"""Names that users, their tools and running pods hold on to: literal on purpose, never computed."""

from __future__ import annotations

from apostille.core import pod_parts
from apostille.core.grants import Protection, policies
from apostille.core.inject import inject
from apostille.core.selection import kinds_webhooks, selection
from apostille.core.settings import InjectionSettings
from apostille.kinds import crds
from apostille.model import conditions, names
from apostille.parties.registry import catalogue
from builders import SETTINGS, binding, pairs, plan, pod, sidecar

FROZEN = {
    "GROUP": "apostille.dev",
    "VERSION": "v1alpha1",
    "API_VERSION": "apostille.dev/v1alpha1",
    "TRUST_KIND": "FederationTrust",
    "TRUST_PLURAL": "federationtrusts",
    "BINDING_KIND": "WorkloadBinding",
    "BINDING_PLURAL": "workloadbindings",
    "PREFIX": "apostille.dev/",
    "FILES_PREFIX": "files.apostille.dev/",
    "PLAN_ANNOTATION": "apostille.dev/plan",
    "INJECTED_LABEL": "apostille.dev/injected",
    "TOKEN_VOLUME_PREFIX": "apostille-token-",
    "FILES_VOLUME": "apostille-files",
    "CREDENTIALS_VOLUME": "apostille-credentials",
    "CREDENTIALS_VOLUME_PREFIX": "apostille-credentials-",
    "EXCHANGE_CONTAINER": "apostille-exchange",
    "INIT_CONTAINER": "apostille-init",
    "TOKENS_DIRECTORY": "/var/run/secrets/apostille.dev",
    "FILES_DIRECTORY": "/etc/apostille.dev",
    "CREDENTIALS_DIRECTORY": "/var/run/apostille.dev",
    "PLAN_FILE": "/etc/apostille.dev/plan",
    "STATE_FILE": "/var/run/apostille.dev/.state",
    "ENDPOINT_PORT": 29015,
    "METRICS_PORT_NAME": "apostille-stats",
    "ANCHOR": "apostille-anchor",
    "MANAGED_LABEL": "app.kubernetes.io/managed-by",
    "MANAGED": "apostille",
    "MANAGED_LATER": "apostille-controller",
    "EVERYTHING_MANAGED": "app.kubernetes.io/managed-by in (apostille,apostille-controller)",
    "SELECTION_PREFIX": "apostille-pods-",
    "KINDS_WEBHOOKS": "apostille-kinds",
    "POLICY_PREFIX": "apostille-",
    "SERVE_ANNOTATION": "apostille.dev/serve",
    "SERVING_SECRET": "apostille-serving-certificate",
    "AUDIENCES_WEBHOOKS": "apostille-audiences",
    "WORKLOADS_PREFIX": "apostille-workloads-",
    "AUDIENCES": "apostille-audiences",
    "OBSERVED": "apostille-observed",
    "OBSERVED_LABEL": "apostille.dev/observed",
    "RULES_ANNOTATION": "apostille.dev/rules",
    "PROBE": "apostille-probe",
    "ACCESS_PREFIX": "apostille-access-",
    "CONTROLLER_LEASE": "apostille-controller",
    "OUR_CONTAINERS": {"apostille-exchange", "apostille-init"},
    "SYSTEM_NAMESPACES": ("kube-system", "kube-public", "kube-node-lease"),
    "DOCS": "https://apostille.dev/docs",
}
REASONS = """
Accepted RuleViolated Invalid TrustNotFound TrustNotAccepted Discovered DiscoveryFailed Rendered NotManaged
RenderPending RenderFailed Audit Warn Enforce Activating ForeignUsers TokenRequestsObserved TokenRequestsNotObserved
ShardsExhausted Ready CutOffShared NotYet Suspended Expired
AdmissionUnreachable PodsMissing Reconciling Stable Stalled
"""


RULES = """
APO101 APO102 APO103 APO104 APO105 APO106 APO107 APO201 APO202 APO203 APO301 APO302 APO303 APO401
APO501 APO502 APO503 APO504 AWS101 AWS102 AWS201 AWS202 AWS203 AWS204 AWS205
APO204 APO402 APO701 APO702 APO703 APO704 APO705 APO706 AWS206 AWS301 AWS302 AWS303 AWS304 AWS305 AWS306 AWS307 AWS308
AWS309 AWS310 AWS311 AWS312 AWS313 AWS314 AWS315 AWS316 AWS317 AWS318
"""


def test_constants() -> None:
    """Every one of them: whoever adds a name freezes it here."""
    assert {name: value for name, value in vars(names).items() if name.isupper()} == FROZEN


def test_derived_names() -> None:
    assert names.token_volume("s3") == "apostille-token-s3"
    assert names.token_directory("s3") == "/var/run/secrets/apostille.dev/s3"
    assert names.token_file("s3") == "/var/run/secrets/apostille.dev/s3/token"
    assert names.credentials_directory("s3") == "/var/run/apostille.dev/s3"
    assert names.file_annotation("s3", "config.json") == "files.apostille.dev/s3.config.json"


def test_no_reason_is_renamed_or_dropped() -> None:
    assert set(REASONS.split()) <= {str(reason) for reason in conditions.Reason}


def test_no_rule_is_renumbered_or_dropped() -> None:
    assert set(RULES.split()) <= {rule.id for rule in catalogue()}


def test_the_kinds_are_called_and_shown_like_this() -> None:
    shown = {}
    for crd in (crds.federation_trust(), crds.workload_binding()):
        (version,) = crd["spec"]["versions"]
        columns = [column["name"] for column in version["additionalPrinterColumns"]]
        shown[crd["metadata"]["name"]] = (
            crd["spec"]["names"]["shortNames"],
            crd["spec"]["names"]["categories"],
            columns,
        )
    assert shown == {
        "federationtrusts.apostille.dev": (
            ["ftrust"], ["apostille"],
            ["Party", "Audience", "Enforced", "Configured", "Bindings", "Ready", "Reason", "Age", "Message", "Issuer"],
        ),
        "workloadbindings.apostille.dev": (
            ["wbind"], ["apostille"],
            ["Trust", "Target", "Pods", "Injected", "Stale", "Missing", "Ready", "Reason", "Age", "Message",
             "Audience"],
        ),
    }  # fmt: skip


def test_generated_objects_are_called_like_this() -> None:
    """RBAC rules, alerts and runbooks name them."""
    protections = [Protection(f"https://{mode}.example", mode) for mode in ("Audit", "Warn", "Enforce")]
    documents = policies(protections, [], SETTINGS)  # type: ignore[arg-type]
    called = ["debug", *(f"{what}-{mode}-0" for what in ("tokens", "pods") for mode in ("audit", "warn", "enforce"))]
    every = {f"apostille-{name}{end}" for name in called for end in ("", "-probe")}
    assert {document["metadata"]["name"] for document in documents} == every
    configurations = [*selection(pairs("a/x"), pairs("a/y"), SETTINGS), kinds_webhooks(SETTINGS)]
    assert {c["metadata"]["name"]: [webhook["name"] for webhook in c["webhooks"]] for c in configurations} == {
        "apostille-pods-0": [
            "bound-workloads.apostille.dev", "allowed-workloads.apostille.dev", "probe.apostille.dev",
        ],
        "apostille-kinds": ["kinds.apostille.dev", "probe.apostille.dev"],
    }  # fmt: skip


def test_a_pod_shows_exactly_these_names() -> None:
    injected = inject(pod(), [plan(binding("s3")), plan(sidecar("files"))], InjectionSettings())
    values = {operation["path"]: operation["value"] for operation in injected.operations}
    assert sorted(values["/metadata/annotations"]) == ["apostille.dev/plan"]
    assert values["/metadata/labels"] == {"apostille.dev/injected": "true"}
    assert [volume["name"] for volume in values["/spec/volumes"]] == [
        "apostille-token-files",
        "apostille-token-s3",
        "apostille-files",
        "apostille-credentials",
        "apostille-credentials-files",
    ]
    assert [container["name"] for container in values["/spec/initContainers"]] == ["apostille-exchange"]
    assert {mount["mountPath"] for mount in values["/spec/containers/0/volumeMounts"]} == {
        "/var/run/secrets/apostille.dev/s3",
        "/var/run/apostille.dev/files",
    }


def test_the_longest_binding_fits_every_name() -> None:
    longest = "b" * 40
    assert len(names.token_volume(longest)) <= 63
    assert len(names.credentials_volume(longest)) <= 63
    assert len(names.file_annotation(longest, "config.json").partition("/")[2]) <= 63


def test_what_is_reserved() -> None:
    assert names.is_our_volume("apostille-token-anything")
    assert names.is_our_volume("apostille-credentials-anything")
    assert names.is_our_volume("apostille-files")
    assert not names.is_our_volume("apostille")
    assert names.is_our_annotation("apostille.dev/x")
    assert names.is_our_annotation("files.apostille.dev/x")
    assert not names.is_our_annotation("notapostille.dev/x")
    for ours in ("/etc/apostille.dev", "/etc//apostille.dev/", "/etc/./apostille.dev/x", "/a/../var/run/apostille.dev"):
        assert pod_parts.is_our_path(ours), ours
    for other in ("/etc", "/etc/apostille.dev2", "/var/run", "/", ""):
        assert not pod_parts.is_our_path(other), other
