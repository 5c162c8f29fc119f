"""The generic rules. A party's own rules stand in its folder; ``apostille.parties.registry`` joins them."""

from __future__ import annotations

from apostille.model.finding import Rule, Severity

AUD_EMPTY = Rule(
    "APO101", "X-AUD-EMPTY", Severity.DENY, "The audience is empty",
    "Name the one receiver; without an audience the token is a credential of this cluster's API server",
    "A token that is requested without an audience is a credential of this cluster's API server: whoever receives "
    "it can act in the cluster as the service account.",
    fixed=True,
)  # fmt: skip
AUD_APISERVER = Rule(
    "APO102", "X-AUD-APISERVER", Severity.DENY, "The audience is the API server's own",
    "Choose an audience that only the relying party accepts; the receiver could otherwise act in this cluster",
    "The API server accepts tokens for its own audiences and for its issuer, under several spellings. A relying "
    "party that receives such a token, or reads it in a log, can act in this cluster as the workload.",
    fixed=True,
)  # fmt: skip
AUD_WILDCARD = Rule(
    "APO103", "X-AUD-WILDCARD", Severity.DENY, "The audience is a pattern or not a plain string",
    "Write one exact audience of at most 255 printable characters, without *, ? or spaces",
    "An audience is compared byte for byte, by the API server and by every relying party. A pattern is never "
    "expanded, and a space or a control character makes two strings that look alike differ.",
    fixed=True,
)  # fmt: skip
AUD_MULTI = Rule(
    "APO104", "X-AUD-MULTI", Severity.DENY, "One token for several audiences",
    "Request one token for each receiver: each of them could replay a shared one to the others",
    "Each receiver of a token that names several can present it to the others and is then taken for the workload.",
    ("webhook", "policy", "lint"),
)  # fmt: skip
AUD_FOREIGN = Rule(
    "APO105", "X-AUD-FOREIGN", Severity.DENY, "The audience belongs to another kind of party",
    "Use an audience of the declared relying party",
    "The token would be of no use to the declared party and of use to the one that owns the audience, with whom "
    "nothing was agreed.",
)  # fmt: skip
AUD_SHARED = Rule(
    "APO106", "X-AUD-SHARED", Severity.DENY, "Two trusts share an audience and a service account",
    "Give each trust an audience of its own, or set spec.sharedAudience: true on both: "
    "ending one binding then does not cut off the other",
    "The API server grants tokens per service account and audience. While the binding of one trust lives, the "
    "token of the other's ended binding is refreshed too: nothing is cut off.",
    fixed=True,
)  # fmt: skip
AUD_COMMON = Rule(
    "APO107", "X-AUD-SHARED", Severity.WARN, "The audience is a vendor's default that others use too",
    "Prefer an audience of this trust's own, such as https://NAME.sts.example",
    "Tokens for a vendor's default audience are accepted by every trust of that vendor in every cluster, and "
    "other tools in this cluster use it as well: enforcing it, or ending it, touches them.",
)  # fmt: skip
SUB_WILDCARD = Rule(
    "APO201", "X-SUB-WILDCARD", Severity.DENY, "A subject is a pattern",
    "List namespaces and service accounts by their exact names",
    "Nothing expands a pattern, so it would silently match nothing; if something did, whoever may create a "
    "namespace or a service account could choose an identity.",
    fixed=True,
)  # fmt: skip
SUB_DEFAULT = Rule(
    "APO202", "X-SUB-DEFAULT", Severity.DENY, "The service account is `default`",
    "Give the workload a service account of its own: every pod that names none runs as `default`",
    "Every pod that names no service account runs as `default`: each of them would have the identity.",
)  # fmt: skip
SUB_SYSTEM = Rule(
    "APO203", "X-SUB-SYSTEM-NS", Severity.DENY, "The namespace belongs to the system",
    "Bind workloads of application namespaces only",
    "Pods of system namespaces have rights over the whole cluster and over the admission that guards it; an "
    "identity bound there is within reach of whatever runs beside them.",
)  # fmt: skip
SUB_MISSING = Rule(
    "APO204", "X-SUB-MISSING", Severity.WARN, "The service account does not exist",
    "Create it, or correct the name",
    "Whoever may create a service account of that name has the identity from then on.",
    ("webhook",),
)  # fmt: skip
LIFE = Rule(
    "APO301", "X-LIFE", Severity.DENY, "The token's lifetime is out of bounds",
    "Choose 600 to 86400 seconds and stay within the trust's ceiling",
    "The API server issues no token for less than 600 seconds, and a token of more than a day outlives every "
    "review of who should have it. The trust's ceiling is what its owner agreed to.",
    fixed=True,
)  # fmt: skip
LIFE_LONG = Rule(
    "APO302", "X-LIFE", Severity.WARN, "The token lives longer than an hour",
    "An ended binding stops the refresh of a token, never a token that is out: prefer 3600 seconds or less",
    "Ending a binding stops the refresh of its token. A token that is already out is accepted by the relying "
    "party until it expires.",
)  # fmt: skip
LIFE_3607 = Rule(
    "APO303", "X-LIFE", Severity.DENY, "3607 seconds is the API server's mark for extended tokens",
    "Choose 3600: the API server stretches tokens of exactly 3607 seconds to a year for its own audience",
    "Kubernetes asks for exactly 3607 seconds where it wants a token that the API server may stretch to a year. "
    "For another audience this has no effect, but it hides what was meant.",
)  # fmt: skip
NOT_ALLOWED = Rule(
    "APO401", "X-CONFUSED-TARGET", Severity.DENY, "The trust does not allow this",
    "Ask the owner of the trust to name it in spec.allow, or use one that is named",
    "A trust allows what its owner wrote down, and nothing else: otherwise whoever may create a WorkloadBinding "
    "in any namespace could take on any identity that the relying party would hand out.",
    fixed=True,
)  # fmt: skip
BINDING_CONFLICT = Rule(
    "APO402", "X-BINDING-CONFLICT", Severity.DENY, "Two bindings want the same variable of a container",
    "Give each its own containers with spec.delivery.containers.include, its own service account, or one of them "
    "delivery.mode: Sidecar",
    "A variable has one value. A pod that matches both bindings would be refused when it is created, which is later "
    "than anybody wants to know.",
)  # fmt: skip

TOKEN_UNGRANTED = Rule(
    "APO501", "X-TOKEN-UNGRANTED", Severity.DENY, "No live binding grants a token for this audience",
    "Declare a WorkloadBinding for the service account, or see why it ended: kubectl get wbind",
    "Under an enforced trust only declared bindings get tokens for its audience; this is also what an ended "
    "binding meets. The rule holds in the API server itself, also while Apostille is down.",
    ("webhook", "policy", "lint"),
)  # fmt: skip
TOKEN_UNBOUND = Rule(
    "APO502", "X-TOKEN-UNBOUND", Severity.DENY, "The token is not bound to a pod",
    "Take the token from the pod's projected volume, or bind the request to a pod: a token that is bound to nothing "
    "outlives whatever it was made for",
    "A token that is bound to a pod ends with the pod. A request that is bound to nothing may ask for years, with "
    "no way to take the token back.",
    ("policy",),
)  # fmt: skip
TOKEN_LONG = Rule(
    "APO503", "X-LIFE", Severity.DENY, "The token lives longer than is granted",
    "Lower expirationSeconds to at most spec.ceilings.assertionSeconds of the trust",
    "The ceiling bounds how long a token can be used after its binding has ended.",
    ("webhook", "policy", "lint"),
)  # fmt: skip
TOKEN_MOUNTED = Rule(
    "APO504", "X-TOKEN-DEBUG", Severity.DENY, "A debug container mounts the identity of a workload",
    "Leave out the debug container's volumeMounts: whoever may debug a pod need not be who the pod is",
    "The right to debug a pod would otherwise be the right to be that workload at the relying party.",
    ("webhook", "policy", "lint"),
)  # fmt: skip

URL_FORM = Rule(
    "APO601", "X-URL-FORM", Severity.BROKEN, "The address is not one that can be used",
    "Write https://HOST or https://HOST:PORT, without path, query or user",
    "A service-account token is sent there. Only a verified TLS connection to one named host keeps it from others; "
    "user, path or query have no meaning for a party's address and are how addresses are disguised.",
)  # fmt: skip
URL_REFUSED = Rule(
    "APO602", "X-URL-ALLOWLIST", Severity.DENY, "Assertions must not be sent to this address",
    "Name the relying party's own address; which ones are allowed is a setting of the installation",
    "Whoever may write a trust could otherwise have tokens sent to a cloud's metadata service, to the API server or "
    "into the pod itself, and use the exchange to reach what they cannot.",
    fixed=True,
)  # fmt: skip
CA_BUNDLE = Rule(
    "APO603", "X-CA-BUNDLE", Severity.BROKEN, "The CA bundle is not one",
    "Paste the PEM certificates of the authority that signed the relying party's certificate, and nothing else",
    "The bundle is the only thing by which the party's certificate is verified, and it is public: it stands in the "
    "pods. Anything else in it is a mistake, a private key a leak.",
)  # fmt: skip

ISSUER_MISMATCH = Rule(
    "APO701", "X-ISSUER-MISMATCH", Severity.BROKEN, "Tokens name another issuer than the discovery document",
    "Correct --service-account-issuer of the API server, so that both are the same byte for byte",
    "A relying party looks up the keys under the issuer that a token names, and compares it byte for byte with what it "
    "was set up with; a slash at the end is another issuer.",
    ("status", "lint"),
)  # fmt: skip
ISSUER_HTTP = Rule(
    "APO702", "X-ISSUER-HTTP", Severity.BROKEN, "The issuer is no https URL",
    "Set --service-account-issuer of the API server to an https URL",
    "Whoever is between a relying party and an issuer without TLS hands out keys of their own. No relying party takes "
    "such an issuer.",
    ("status", "lint"),
)  # fmt: skip
ISSUER_SHARED = Rule(
    "APO703", "X-ISSUER-SHARED", Severity.WARN, "The issuer's name is the one that clusters have by default",
    "Give each cluster an issuer of its own: --service-account-issuer",
    "Where a relying party knows the keys of two clusters that call themselves the same, a subject of one is taken for "
    "the subject of the same name of the other. Whether there is another one no cluster can see: an installation that "
    "knows it sets this rule to deny.",
    ("webhook", "status", "lint"),
)  # fmt: skip
JWKS_PRIVATE = Rule(
    "APO704", "X-JWKS-PRIVATE", Severity.DENY, "The key set holds a private key",
    "Publish the public members alone (kty, n, e, or crv, x, y), and replace the key: it is known now",
    "Whoever reads it can sign tokens for every subject of the issuer.",
    ("status", "lint"),
    fixed=True,
)  # fmt: skip
ALG = Rule(
    "APO705", "X-ALG", Severity.DENY, "A signature algorithm proves nothing",
    "Use RS256, ES256 or another asymmetric algorithm of RFC 7518",
    "With `none` there is no signature. With HS256 and its like whoever can check a token can also make one, and the "
    "key that is used for it may be a public one.",
    ("status", "lint"),
    fixed=True,
)  # fmt: skip
JWKS_STALE = Rule(
    "APO706", "X-JWKS-STALE", Severity.WARN, "The uploaded keys are not the ones that the cluster signs with",
    "Upload the key set of /openid/v1/jwks again, with the keys of before until their last token has expired",
    "A relying party that was given the keys does not follow a rotation. Tokens of a key that it lacks are refused; "
    "a key that the cluster does not use any more goes on being accepted.",
    ("lint",),
)  # fmt: skip

GENERIC: tuple[Rule, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Rule))
