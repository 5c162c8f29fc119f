"""Names that users and their tools see. They are frozen: a test fails when one changes."""

GROUP = "apostille.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
TRUST_KIND, TRUST_PLURAL = "FederationTrust", "federationtrusts"
BINDING_KIND, BINDING_PLURAL = "WorkloadBinding", "workloadbindings"

# On pods. Everything under these prefixes is Apostille's alone.
PREFIX = "apostille.dev/"
FILES_PREFIX = "files.apostille.dev/"
PLAN_ANNOTATION = "apostille.dev/plan"
# On namespaces: which rules they tighten.
RULES_ANNOTATION = "apostille.dev/rules"
INJECTED_LABEL = "apostille.dev/injected"

TOKEN_VOLUME_PREFIX = "apostille-token-"  # noqa: S105 - a volume's name
FILES_VOLUME = "apostille-files"
CREDENTIALS_VOLUME_PREFIX = "apostille-credentials-"
# The sidecar's own: what it says of itself. Earlier versions had the credentials of all bindings in it.
CREDENTIALS_VOLUME = "apostille-credentials"
EXCHANGE_CONTAINER = "apostille-exchange"
INIT_CONTAINER = "apostille-init"
OUR_CONTAINERS = frozenset({EXCHANGE_CONTAINER, INIT_CONTAINER})

TOKENS_DIRECTORY = "/var/run/secrets/apostille.dev"
FILES_DIRECTORY = "/etc/apostille.dev"
CREDENTIALS_DIRECTORY = "/var/run/apostille.dev"
PLAN_FILE = f"{FILES_DIRECTORY}/plan"
STATE_FILE = f"{CREDENTIALS_DIRECTORY}/.state"
ENDPOINT_PORT = 29015
METRICS_PORT_NAME = "apostille-stats"

# Cluster objects that the controller generates; all owned by the anchor.
ANCHOR = "apostille-anchor"
# By this label they are found. What 0.1.0 did not write has the second value: it removes what it does not know by the
# first, and after a rollback it has no right to these.
MANAGED_LABEL, MANAGED, MANAGED_LATER = "app.kubernetes.io/managed-by", "apostille", "apostille-controller"
EVERYTHING_MANAGED = f"{MANAGED_LABEL} in ({MANAGED},{MANAGED_LATER})"
SELECTION_PREFIX = "apostille-pods-"
KINDS_WEBHOOKS = "apostille-kinds"
AUDIENCES_WEBHOOKS = "apostille-audiences"
WORKLOADS_PREFIX = "apostille-workloads-"
POLICY_PREFIX = "apostille-"
PROBE = "apostille-probe"
ACCESS_PREFIX = "apostille-access-"
# In Apostille's own namespace: which audiences are protected, also after their trusts; token requests that were noted.
AUDIENCES = "apostille-audiences"
OBSERVED = "apostille-observed"
OBSERVED_LABEL = "apostille.dev/observed"
# In Apostille's own namespace: the Lease that the leading controller holds.
CONTROLLER_LEASE = "apostille-controller"
# The Secret of the admission server's certificate; its annotation has the digest of the leaf that may be served.
SERVING_SECRET = "apostille-serving-certificate"  # noqa: S105 - a Secret's name
SERVE_ANNOTATION = "apostille.dev/serve"

SYSTEM_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease")

DOCS = "https://apostille.dev/docs"


def token_volume(binding: str) -> str:
    """The projected volume of one binding."""
    return TOKEN_VOLUME_PREFIX + binding


def token_directory(binding: str) -> str:
    """Where that volume is mounted."""
    return f"{TOKENS_DIRECTORY}/{binding}"


def token_file(binding: str) -> str:
    """The assertion's file in a container that mounts it."""
    return f"{token_directory(binding)}/token"


def credentials_volume(binding: str) -> str:
    """The volume of one binding's credential files: a container sees those of its own bindings alone."""
    return CREDENTIALS_VOLUME_PREFIX + binding


def credentials_directory(binding: str) -> str:
    """Where that volume is mounted."""
    return f"{CREDENTIALS_DIRECTORY}/{binding}"


def files_directory(binding: str) -> str:
    """Where a binding's public files are."""
    return f"{FILES_DIRECTORY}/{binding}"


def file_annotation(binding: str, name: str) -> str:
    """The annotation that carries one public file; a downward-API item writes one whole annotation to one file."""
    return f"{FILES_PREFIX}{binding}.{name}"


def shared_annotation(file: str) -> str:
    """The annotation of a public file that all bindings of a pod have together; no binding's has such a name."""
    return FILES_PREFIX + file.replace(".", "-")


def is_our_volume(name: str) -> bool:
    """Whether a pod's volume name is reserved to Apostille."""
    return holds_identity(name) or name == FILES_VOLUME


def holds_identity(volume: str) -> bool:
    """Whether a volume of Apostille's holds assertions or credentials."""
    return volume.startswith((TOKEN_VOLUME_PREFIX, CREDENTIALS_VOLUME_PREFIX)) or volume == CREDENTIALS_VOLUME


def is_our_annotation(key: str) -> bool:
    """Whether a pod's annotation or label is reserved to Apostille."""
    return key.startswith((PREFIX, FILES_PREFIX))
