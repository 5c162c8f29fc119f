"""Vault's own rules (cloud-trust §19.5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from apostille.model.finding import Finding, Rule, Severity
from apostille.parties.party import TrustView
from apostille.parties.vault.documents import CONFIG, VaultAccess
from apostille.parties.vault.evaluate import strings
from apostille.parties.vault.settings import is_role_name
from apostille.rules import keys
from apostille.rules.catalogue import AUD_COMMON

TARGET_FORM = Rule(
    "VLT101", "VLT-TARGET-FORM", Severity.BROKEN, "The target is not the name of a role",
    "Write the role's name alone, in lower case: letters, digits, dots, dashes and underscores",
    "Vault knows a role by its name, and lowers it: two spellings would be one role. The name also names the "
    "rendered document.",
)  # fmt: skip
POLICY = Rule(
    "VLT102", "VLT-POLICY", Severity.DENY, "The role's tokens could do anything",
    "Give the role a policy of its own that reads what the workload needs",
    "Whoever logs in with the role could change Vault itself. A workload's identity reads what the workload "
    "needs.",
)  # fmt: skip
ROLE_TWICE = Rule(
    "VLT103", "VLT-ROLE-TWICE", Severity.BROKEN, "A role is described twice",
    "Keep one entry with all its policies",
    "A role has one list of policies; it would depend on the order of the list which of two entries holds.",
)  # fmt: skip
NO_SUB = Rule(
    "VLT201", "VLT-NO-SUB", Severity.DENY, "The role does not say who may log in",
    "Set bound_subject, or bound_claims on sub, to exact subjects",
    "An audience says for whom a token is, not whose it is. Every service account of the cluster can ask for a "
    "token with that audience.",
    ("status", "lint"),
)  # fmt: skip
GLOB = Rule(
    "VLT202", "VLT-GLOB", Severity.DENY, "The role accepts subjects by a pattern",
    "Set bound_claims_type to string and list the subjects; a * also crosses colons",
    "In a glob the star stands for anything, colons included: `system:serviceaccount:*:reader` also matches a "
    "service account of another namespace, and names that end in `:reader`.",
    ("status", "lint"),
)  # fmt: skip
NO_AUD = Rule(
    "VLT203", "VLT-NO-AUD", Severity.BROKEN, "The role binds no audience",
    "Set bound_audiences: Vault refuses tokens that have an audience otherwise, and Kubernetes' always have one",
    "Kubernetes' tokens always have an audience, and a role that binds none refuses every token that has one.",
    ("status", "lint"),
)  # fmt: skip
NO_ISSUER = Rule(
    "VLT204", "VLT-NO-ISSUER", Severity.DENY, "The method does not check who issued a token",
    "Set bound_issuer to the cluster's issuer, byte for byte",
    "Without bound_issuer Vault compares the issuer with nothing, a discovery URL included: whoever else signs "
    "with a key that Vault knows is taken for the cluster.",
    ("status", "lint"),
)  # fmt: skip
ALGS = Rule(
    "VLT205", "VLT-ALGS", Severity.WARN, "The method accepts every signature algorithm",
    "Set jwt_supported_algs to the cluster's",
    "Vault then accepts every asymmetric algorithm that it knows, also ones that the cluster never signs with.",
    ("status", "lint"),
)  # fmt: skip
ROLE_TYPE = Rule(
    "VLT206", "VLT-ROLE-TYPE", Severity.BROKEN, "The role is not for tokens",
    "Set role_type to jwt; without it the role is for browsers and refuses every token",
    "A role without a type is for logins by browser. It refuses every token with `role with oidc role_type is not "
    "allowed`.",
    ("status", "lint"),
)  # fmt: skip
DEFAULT_ROLE = Rule(
    "VLT207", "VLT-DEFAULT-ROLE", Severity.WARN, "Whoever names no role gets one",
    "Leave default_role empty",
    "A login that names no role takes it: a mistake in a client turns into another identity instead of an error.",
    ("status", "lint"),
)  # fmt: skip
USER_CLAIM = Rule(
    "VLT208", "VLT-USER-CLAIM", Severity.DENY, "Different workloads become one entity",
    "Set user_claim to sub",
    "The claim becomes the name of the entity in Vault. A claim that several workloads have in common gives them "
    "one entity, with each other's policies.",
    ("status", "lint"),
)  # fmt: skip
TTL = Rule(
    "VLT209", "VLT-TTL", Severity.WARN, "Tokens live longer than anybody said",
    "Set token_max_ttl and leave token_period 0",
    "Without a ceiling the system's holds, usually 32 days; with a period a token is renewed without end. An "
    "ended binding takes nothing back that is out already.",
    ("status", "lint"),
)  # fmt: skip
LEEWAY = Rule(
    "VLT210", "VLT-LEEWAY", Severity.WARN, "Expired tokens are accepted",
    "Leave the leeways 0, which grants the usual 60 seconds of clock skew",
    "A leeway lengthens the life of every token beyond what the cluster granted.",
    ("status", "lint"),
)  # fmt: skip
RULES: tuple[Rule, ...] = (
    TARGET_FORM, POLICY, ROLE_TWICE, NO_SUB, GLOB, NO_AUD, NO_ISSUER, ALGS, ROLE_TYPE, DEFAULT_ROLE, USER_CLAIM, TTL,
    LEEWAY,
)  # fmt: skip

_BROAD_POLICIES = ("root", "admin", "vault-admin", "*")
_NAMESPACE, _NAME = "/kubernetes.io/namespace", "/kubernetes.io/serviceaccount/name"
_CLOCK_SKEW = 60  # seconds, Vault's default


def audience(value: str, path: str) -> Iterator[Finding]:
    """The warning on an audience that every Vault shares."""
    if value.lower() == "vault":
        yield AUD_COMMON.at(path, f"{value!r} is what many Vault servers accept")


def target(value: str, path: str) -> Iterator[Finding]:
    """VLT-TARGET-FORM."""
    if not is_role_name(value):
        yield TARGET_FORM.at(path, f"{value!r} is not the name of a role")


def roles(trust: TrustView, path: str) -> Iterator[Finding]:
    """VLT-POLICY and VLT-ROLE-TWICE over the declared roles."""
    seen: set[str] = set()
    for i, role in enumerate(trust.settings.roles):
        if role.name in seen:
            yield ROLE_TWICE.at(f"{path}[{i}].name", f"{role.name} was described before")
        seen.add(role.name)
        for j, policy in enumerate(role.policies):
            if policy.lower() in _BROAD_POLICIES:
                yield POLICY.at(f"{path}[{i}].policies[{j}]", f"{policy} lets a token do anything")


def documents(access: VaultAccess) -> Iterator[Finding]:
    """Rules on documents, ours or anybody's; paths are ``FILE:FIELD``."""
    config = access.config
    if not config.get("bound_issuer"):
        yield NO_ISSUER.at(f"{CONFIG}:bound_issuer", "bound_issuer is not set")
    if not config.get("jwt_supported_algs"):
        yield ALGS.at(f"{CONFIG}:jwt_supported_algs", "jwt_supported_algs is not set")
    yield from keys.algorithms(strings(config.get("jwt_supported_algs")), f"{CONFIG}:jwt_supported_algs")
    if default := config.get("default_role"):
        yield DEFAULT_ROLE.at(f"{CONFIG}:default_role", f"a login that names no role gets {default}")
    for name, role in access.roles.items():
        yield from _role(f"role-{name}.json", name, role)


def _role(file: str, name: str, role: Mapping[str, Any]) -> Iterator[Finding]:
    if role.get("role_type") != "jwt":
        yield ROLE_TYPE.at(f"{file}:role_type", f"role_type of {name} is {role.get('role_type') or 'oidc'}")
    if not role.get("bound_audiences"):
        yield NO_AUD.at(f"{file}:bound_audiences", f"{name} has no bound_audiences")
    yield from _subjects(file, name, role)
    if (claim := str(role.get("user_claim", ""))) not in ("sub", "/kubernetes.io/serviceaccount/uid"):
        yield USER_CLAIM.at(f"{file}:user_claim", f"user_claim of {name} is {claim!r}, which others share")
    for policy in strings(role.get("token_policies")):
        if policy.lower() in _BROAD_POLICIES:
            yield POLICY.at(f"{file}:token_policies", f"{policy} lets the tokens of {name} do anything")
    if not seconds(role.get("token_max_ttl")):
        yield TTL.at(f"{file}:token_max_ttl", f"{name} has no token_max_ttl: the system's holds, usually 32 days")
    if seconds(role.get("token_period")):
        yield TTL.at(f"{file}:token_period", f"tokens of {name} can be renewed without end")
    if seconds(role.get("clock_skew_leeway")) > _CLOCK_SKEW:
        yield LEEWAY.at(f"{file}:clock_skew_leeway", f"{name} accepts tokens long after their end")
    if seconds(role.get("expiration_leeway")) > 0:
        yield LEEWAY.at(f"{file}:expiration_leeway", f"{name} makes up an end for tokens that have none")


def _subjects(file: str, name: str, role: Mapping[str, Any]) -> Iterator[Finding]:
    claims = role.get("bound_claims") or {}
    bound = role.get("bound_subject") or "sub" in claims or "/sub" in claims or {_NAMESPACE, _NAME} <= set(claims)
    if not bound:
        yield NO_SUB.at(f"{file}:bound_subject", f"{name} binds neither sub nor both namespace and service account")
        return
    if role.get("bound_subject") or role.get("bound_claims_type") != "glob":
        return
    for claim in ("sub", "/sub", _NAMESPACE, _NAME):
        values = claims.get(claim, ())
        for value in [values] if isinstance(values, str) else values:
            if "*" in str(value):
                yield GLOB.at(f"{file}:bound_claims", f"{name} accepts every {claim} like {value}")


def seconds(value: Any) -> int:
    """A duration as Vault takes it: a number, or text such as ``10m``; what cannot be read counts as set."""
    if isinstance(value, int | float):
        return int(value)
    text = str(value or "0").strip()
    if text.lstrip("-").isdigit():
        return int(text)
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86400}.get(text[-1:])
    number = text[:-1]
    return int(number) * unit if unit and number.lstrip("-").isdigit() else 1
