"""The generic rules. A party's own rules stand in its folder; ``apostille.kinds.registry`` joins them."""

from __future__ import annotations

from apostille.model.finding import Rule, Severity

AUD_EMPTY = Rule(
    "APO101", "X-AUD-EMPTY", Severity.DENY, "The audience is empty",
    "Name the one receiver; without an audience the token is a credential of this cluster's API server",
)  # fmt: skip
AUD_APISERVER = Rule(
    "APO102", "X-AUD-APISERVER", Severity.DENY, "The audience is the API server's own",
    "Choose an audience that only the relying party accepts; the receiver could otherwise act in this cluster",
)  # fmt: skip
AUD_WILDCARD = Rule(
    "APO103", "X-AUD-WILDCARD", Severity.DENY, "The audience is a pattern or not a plain string",
    "Write one exact audience of at most 255 printable characters, without *, ? or spaces",
)  # fmt: skip
AUD_MULTI = Rule(
    "APO104", "X-AUD-MULTI", Severity.DENY, "One token for several audiences",
    "Request one token for each receiver: each of them could replay a shared one to the others",
    ("policy", "lint"),
)  # fmt: skip
AUD_FOREIGN = Rule(
    "APO105", "X-AUD-FOREIGN", Severity.DENY, "The audience belongs to another kind of party",
    "Use an audience of the declared relying party",
)  # fmt: skip
AUD_SHARED = Rule(
    "APO106", "X-AUD-SHARED", Severity.DENY, "Two trusts share an audience and a service account",
    "Give each trust an audience of its own, or set spec.sharedAudience: true on both: "
    "ending one binding then does not cut off the other",
)  # fmt: skip
AUD_COMMON = Rule(
    "APO107", "X-AUD-SHARED", Severity.WARN, "The audience is a vendor's default that others use too",
    "Prefer an audience of this trust's own, such as https://NAME.sts.example",
)  # fmt: skip
SUB_WILDCARD = Rule(
    "APO201", "X-SUB-WILDCARD", Severity.DENY, "A subject is a pattern",
    "List namespaces and service accounts by their exact names",
)  # fmt: skip
SUB_DEFAULT = Rule(
    "APO202", "X-SUB-DEFAULT", Severity.DENY, "The service account is `default`",
    "Give the workload a service account of its own: every pod that names none runs as `default`",
)  # fmt: skip
SUB_SYSTEM = Rule(
    "APO203", "X-SUB-SYSTEM-NS", Severity.DENY, "The namespace belongs to the system",
    "Bind workloads of application namespaces only",
)  # fmt: skip
LIFE = Rule(
    "APO301", "X-LIFE", Severity.DENY, "The token's lifetime is out of bounds",
    "Choose 600 to 86400 seconds and stay within the trust's ceiling",
)  # fmt: skip
LIFE_LONG = Rule(
    "APO302", "X-LIFE", Severity.WARN, "The token lives longer than an hour",
    "An ended binding stops the refresh of a token, never a token that is out: prefer 3600 seconds or less",
)  # fmt: skip
LIFE_3607 = Rule(
    "APO303", "X-LIFE", Severity.DENY, "3607 seconds is the API server's mark for extended tokens",
    "Choose 3600: the API server stretches tokens of exactly 3607 seconds to a year for its own audience",
)  # fmt: skip
NOT_ALLOWED = Rule(
    "APO401", "X-CONFUSED-TARGET", Severity.DENY, "The trust does not allow this",
    "Ask the owner of the trust to name it in spec.allow, or use one that is named",
)  # fmt: skip

TOKEN_UNGRANTED = Rule(
    "APO501", "X-TOKEN-UNGRANTED", Severity.DENY, "No live binding grants a token for this audience",
    "Declare a WorkloadBinding for the service account, or see why it ended: kubectl get wbind",
    ("policy",),
)  # fmt: skip
TOKEN_UNBOUND = Rule(
    "APO502", "X-TOKEN-UNBOUND", Severity.DENY, "The token is not bound to a pod",
    "Take the token from the pod's projected volume, or bind the request to a pod: a token that is bound to nothing "
    "outlives whatever it was made for",
    ("policy",),
)  # fmt: skip
TOKEN_LONG = Rule(
    "APO503", "X-LIFE", Severity.DENY, "The token lives longer than is granted",
    "Lower expirationSeconds to at most spec.ceilings.assertionSeconds of the trust",
    ("policy",),
)  # fmt: skip
TOKEN_MOUNTED = Rule(
    "APO504", "X-TOKEN-DEBUG", Severity.DENY, "A debug container mounts the identity of a workload",
    "Leave out the debug container's volumeMounts: whoever may debug a pod need not be who the pod is",
    ("policy",),
)  # fmt: skip

GENERIC: tuple[Rule, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Rule))
