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

URL_FORM = Rule(
    "APO501", "X-URL-FORM", Severity.BROKEN, "The address is not one that can be used",
    "Write https://HOST or https://HOST:PORT, without path, query or user",
)  # fmt: skip
URL_REFUSED = Rule(
    "APO502", "X-URL-ALLOWLIST", Severity.DENY, "Assertions must not be sent to this address",
    "Name the relying party's own address; which ones are allowed is a setting of the installation",
)  # fmt: skip
CA_BUNDLE = Rule(
    "APO503", "X-CA-BUNDLE", Severity.BROKEN, "The CA bundle is not one",
    "Paste the PEM certificates of the authority that signed the relying party's certificate, and nothing else",
)  # fmt: skip

GENERIC: tuple[Rule, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Rule))
