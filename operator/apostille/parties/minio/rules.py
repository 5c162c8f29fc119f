"""MinIO's own rules (cloud-trust §19.6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from apostille.model.finding import Finding, Rule, Severity
from apostille.parties.minio.documents import POLICIES, SUBJECT, MinIOAccess
from apostille.parties.minio.settings import MinIOTrust, is_policy_name
from apostille.parties.party import BindingView, TrustView
from apostille.rules.catalogue import AUD_COMMON

TARGET_FORM = Rule(
    "MIN101", "MINIO-TARGET-FORM", Severity.BROKEN, "The trust has no such policy",
    "Name one of spec.relyingParty.minio.policies, or describe it there",
    "MinIO's policies are rendered from the trust: a target that it does not describe would be a policy that "
    "nobody wrote.",
)  # fmt: skip
POLICY_BROAD = Rule(
    "MIN102", "MINIO-POLICY-BROAD", Severity.DENY, "The policy gives away every bucket",
    "Name the buckets, or give them a prefix of their own",
    "A workload's identity could read or write every bucket of the server, those of others included.",
)  # fmt: skip
POLICY_TWICE = Rule(
    "MIN103", "MINIO-POLICY-TWICE", Severity.BROKEN, "A policy is described twice",
    "Keep one entry with all its statements",
    "A target has one list of statements; it would depend on the order of the list which of two entries holds.",
)  # fmt: skip
ONE_POLICY = Rule(
    "MIN201", "MINIO-ONE-POLICY", Severity.BROKEN, "One subject would get several policies at once",
    "Bind each service account to one policy, or set mode: Role",
    "With mode Claim the policy is named after the subject, and the server takes no notice of which one was asked "
    "for: the credential of each binding could do what both allow.",
    ("status", "lint"),
)  # fmt: skip
AUD_ONLY = Rule(
    "MIN202", "MINIO-AUD-ONLY", Severity.WARN, "Every token for the audience gets a credential",
    "Prefer mode: Claim, which refuses other subjects at the exchange",
    "A role of MinIO judges audience and signature alone. Service accounts that nobody bound get a credential, "
    "and only the condition in the policy keeps them from using it.",
)  # fmt: skip
AUD_FORM = Rule(
    "MIN203", "MINIO-AUD-FORM", Severity.BROKEN, "The audience cannot stand in the server's environment",
    "Use letters, digits and punctuation other than quotes, backslash, $ and #",
    "The audience becomes MINIO_IDENTITY_OPENID_CLIENT_ID. Quotes, backslashes, $ and # mean something else in "
    "environment files, and the server would compare another text.",
)  # fmt: skip
SECRET = Rule(
    "MIN204", "MINIO-SECRET", Severity.WARN, "The server must have a client secret that nobody knows",
    "Start the server with MINIO_IDENTITY_OPENID_CLIENT_SECRET set to at least 32 random bytes and keep them nowhere",
    "MinIO takes the client secret as the key of symmetric signatures. A server that was started without one "
    "accepts tokens for any subject that are signed with the empty key.",
)  # fmt: skip
SUBJECT_FORM = Rule(
    "MIN205", "MINIO-SUBJECT-FORM", Severity.BROKEN, "The subject is longer than MinIO can store",
    "Give the service account a shorter name: with its namespace it has at most 232 characters",
    "MinIO stores a policy in a folder of its name, and file systems take no longer names.",
)  # fmt: skip
NO_SUB = Rule(
    "MIN301", "MINIO-NO-SUB", Severity.DENY, "A role's policy does not say whose credentials it is for",
    "Add Condition.StringEquals on jwt:sub with the exact subjects to every statement that allows",
    "A role of MinIO judges audience and signature alone: every service account of the cluster gets a credential, and "
    "nothing but this condition keeps it from using it.",
    ("status", "lint"),
)  # fmt: skip
RULES: tuple[Rule, ...] = (
    TARGET_FORM, POLICY_BROAD, POLICY_TWICE, ONE_POLICY, AUD_ONLY, AUD_FORM, SECRET, SUBJECT_FORM, NO_SUB,
)  # fmt: skip

_MAX_NAME = 255  # a policy is a folder in the server's storage
_BUCKETS = "arn:aws:s3:::"


def audience(value: str, path: str) -> Iterator[Finding]:
    """MINIO-AUD-FORM, and the warning on an audience that every MinIO shares."""
    if value.lower() == "minio":
        yield AUD_COMMON.at(path, f"{value!r} is what many MinIO servers accept")
    if bad := sorted(set(value) & set("\"'\\$#`")):
        yield AUD_FORM.at(path, f"{value!r} contains {' '.join(bad)}")


def target(trust: TrustView, value: str, path: str) -> Iterator[Finding]:
    """MINIO-TARGET-FORM."""
    settings: MinIOTrust = trust.settings
    if not is_policy_name(value) or settings.policy(value) is None:
        known = ", ".join(sorted(policy.name for policy in settings.policies))
        yield TARGET_FORM.at(path, f"{value!r} is not a policy of trust {trust.name} (there are {known})")


def subject(value: str, path: str) -> Iterator[Finding]:
    """MINIO-SUBJECT-FORM."""
    if len(value) > _MAX_NAME:
        yield SUBJECT_FORM.at(path, f"{value!r} has {len(value)} characters, a policy's name at most {_MAX_NAME}")


def policies(settings: MinIOTrust, path: str) -> Iterator[Finding]:
    """MINIO-POLICY-BROAD and MINIO-POLICY-TWICE over the declared policies."""
    seen: set[str] = set()
    for i, policy in enumerate(settings.policies):
        if policy.name in seen:
            yield POLICY_TWICE.at(f"{path}[{i}].name", f"{policy.name} was described before")
        seen.add(policy.name)
        for j, statement in enumerate(policy.statements):
            for k, resource in enumerate(statement.resources):
                bucket = resource.removeprefix(_BUCKETS).partition("/")[0]
                if bucket[:1] in "*?":
                    yield POLICY_BROAD.at(f"{path}[{i}].statements[{j}].resources[{k}]", f"{resource} is every bucket")


def server(settings: MinIOTrust, path: str) -> Iterator[Finding]:
    """MINIO-SECRET, always, since no document of ours can hold it; and MINIO-AUD-ONLY."""
    yield SECRET.at(path, "the server also takes tokens signed with its client secret, for any subject")
    if settings.mode == "Role":
        yield AUD_ONLY.at(f"{path}.mode", "the subject of a token is not judged at the exchange")


def documents(access: MinIOAccess) -> Iterator[Finding]:
    """MINIO-NO-SUB, in the policies that the role names."""
    for name in access.setting("ROLE_POLICY").split(","):
        for i, statement in enumerate(access.policies.get(name.strip(), {}).get("Statement", ())):
            exact = (statement.get("Condition") or {}).get("StringEquals") or {}
            if statement.get("Effect") == "Allow" and SUBJECT not in exact:
                yield NO_SUB.at(f"{POLICIES}:{name.strip()}.Statement[{i}].Condition", "no subject is compared exactly")


def one_policy(settings: MinIOTrust, bindings: Sequence[BindingView], path: str) -> Iterator[Finding]:
    """MINIO-ONE-POLICY: what a subject gets is one document, whatever it asked for."""
    if settings.mode != "Claim":
        return
    known: dict[str, set[str]] = {}
    for binding in bindings:
        for subject in binding.subjects:
            known.setdefault(subject, set()).add(binding.target.policy)
    for subject in sorted(known):
        if len(known[subject]) > 1:
            yield ONE_POLICY.at(path, f"{subject} is bound to {' and '.join(sorted(known[subject]))}")
