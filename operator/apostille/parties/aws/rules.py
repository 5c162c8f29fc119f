"""AWS's own rules (cloud-trust §19.2) as far as they are judged on declarations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from apostille.model.finding import Finding, Rule, Severity
from apostille.model.identity import Issuer
from apostille.parties.aws import policy
from apostille.parties.aws.settings import ROLE_ARN
from apostille.parties.party import BindingView, TrustView
from apostille.rules import issuers
from apostille.rules.catalogue import AUD_COMMON

DEFAULT_AUDIENCE = "sts.amazonaws.com"

TARGET_FORM = Rule(
    "AWS101", "AWS-TARGET-FORM", Severity.BROKEN, "The target is not a role ARN",
    "Write arn:PARTITION:iam::ACCOUNT:role/NAME, for example arn:aws:iam::123456789012:role/payments-reader",
    "AWS knows the role by its full ARN; anything else can never be assumed.",
)  # fmt: skip
TARGET_ACCOUNT = Rule(
    "AWS102", "AWS-TARGET-ACCOUNT", Severity.DENY, "The role belongs to another account or partition",
    "Use a role of the trust's account, or declare a FederationTrust for the other account",
    "A trust speaks of one account in one partition. The provider and the trust policies that are rendered for it "
    "do not exist in another.",
)  # fmt: skip
POLICY_SIZE = Rule(
    "AWS201", "AWS-POLICY-SIZE", Severity.BROKEN, "A trust policy would be longer than IAM takes",
    "Spread the service accounts over several roles, or have the account's quota raised",
    "IAM refuses a trust policy that is longer than the account's quota (2048 characters unless raised), and the "
    "roles that are set up already would fall behind.",
    ("status", "lint"),
)  # fmt: skip
ISSUER_FORM = Rule(
    "AWS202", "AWS-ISSUER-MISMATCH", Severity.BROKEN, "AWS cannot use this issuer URL",
    "Serve the cluster's issuer under an https URL without port, query or fragment, of at most 255 characters",
    "IAM takes an issuer only as an https URL with a lower-case host and without port, user, query or fragment "
    "(CreateOpenIDConnectProvider).",
)  # fmt: skip
ISSUER_PRIVATE = Rule(
    "AWS203", "X-ISSUER-PRIVATE", Severity.BROKEN, "AWS cannot reach the issuer",
    "Publish discovery document and keys under a public host, and set --service-account-issuer (and "
    "--service-account-jwks-uri) to it",
    "STS fetches the issuer's discovery document and keys from the internet on every exchange that it has no keys "
    "for. It has no other way to learn them.",
)  # fmt: skip
ROLE_NAME = Rule(
    "AWS204", "AWS-ROLE-NAME", Severity.BROKEN, "Two roles have the same name",
    "Bind only one of them: the name of a role is unique in its account, whatever its path and case",
    "IAM holds one role of a name, whatever path and case it is written with: the second of the two documents "
    "would overwrite the first, or be refused.",
    ("status", "lint"),
)  # fmt: skip
SUBJECT_LONG = Rule(
    "AWS205", "AWS-SUBJECT-LONG", Severity.BROKEN, "The subject is longer than STS takes",
    "Choose shorter names: system:serviceaccount:NAMESPACE:NAME may have at most 255 characters",
    "STS takes a subject of at most 255 characters (SubjectFromWebIdentityToken); the exchange would always fail.",
)  # fmt: skip
SESSION_LONG = Rule(
    "AWS206", "AWS-SESSION-LONG", Severity.WARN, "Sessions outlive their binding by hours",
    "Prefer 3600 seconds or less",
    "Nothing ends a session of a role before its time: what an ended binding gave out is good until then.",
)  # fmt: skip
RULES: tuple[Rule, ...] = (
    TARGET_FORM, TARGET_ACCOUNT, POLICY_SIZE, ISSUER_FORM, ISSUER_PRIVATE, ROLE_NAME, SUBJECT_LONG, SESSION_LONG,
)  # fmt: skip

LONG_SESSION = 3600
MAX_SUBJECT = 255  # characters of SubjectFromWebIdentityToken (STS AssumeRoleWithWebIdentity)


def audience(value: str, path: str) -> Iterator[Finding]:
    """The warning on the vendor's shared default."""
    if value == DEFAULT_AUDIENCE:
        yield AUD_COMMON.at(path, f"{value} is what every AWS trust of every cluster accepts")


def target(trust: TrustView, value: str, path: str) -> Iterator[Finding]:
    """AWS-TARGET-FORM and AWS-TARGET-ACCOUNT."""
    if (match := ROLE_ARN.fullmatch(value)) is None:
        yield TARGET_FORM.at(path, f"{value!r} is not the ARN of a role")
        return
    account, partition = trust.settings.account_id, trust.settings.partition
    if match["account"] != account:
        yield TARGET_ACCOUNT.at(
            path, f"{value} is a role of account {match['account']}, the trust {trust.name} is for {account}"
        )
    elif match["partition"] != partition:
        yield TARGET_ACCOUNT.at(
            path, f"{value} is in partition {match['partition']}, the trust {trust.name} is in {partition}"
        )


def issuer_form(issuer: Issuer, path: str) -> Iterator[Finding]:
    """AWS-ISSUER-MISMATCH: what IAM refuses as a provider URL (CreateOpenIDConnectProvider). X-ISSUER-PRIVATE."""
    # No port: the host becomes part of condition keys (cloud-trust §1.2).
    if not issuers.is_plain(issuer.url) or ":" in issuers.host(issuer.url) or len(issuer.url) > 255:
        yield ISSUER_FORM.at(path, f"the cluster's issuer is {issuer.url!r}")
    elif issuers.is_private(issuer.url):
        yield ISSUER_PRIVATE.at(path, f"the cluster's issuer is {issuer.url!r}, which is no public host")


def role_names(bindings: Iterable[BindingView], path: str) -> Iterator[Finding]:
    """AWS-ROLE-NAME, naming both roles."""
    known: dict[str, str] = {}
    for arn in sorted({binding.target.role_arn for binding in bindings}):
        other = known.setdefault(policy.role_name(arn)[1].lower(), arn)
        if other != arn:
            yield ROLE_NAME.at(path, f"{other} and {arn} are bound, and IAM cannot hold both")


def subject(value: str, path: str) -> Iterator[Finding]:
    """AWS-SUBJECT-LONG."""
    if len(value) > MAX_SUBJECT:
        yield SUBJECT_LONG.at(path, f"{value!r} has {len(value)} characters")


def session(trust: TrustView, path: str) -> Iterator[Finding]:
    """AWS-SESSION-LONG."""
    if trust.session_seconds > LONG_SESSION:
        yield SESSION_LONG.at(path, f"a session may last {trust.session_seconds} seconds")
