"""Google Cloud's own rules (cloud-trust §19.3)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from apostille.model.finding import Finding, Rule, Severity
from apostille.model.identity import Issuer
from apostille.parties.gcp import documents
from apostille.parties.gcp.cel import CannotJudge
from apostille.parties.gcp.documents import DIRECT as DIRECT_FILE
from apostille.parties.gcp.documents import PROVIDER, GCPAccess
from apostille.parties.gcp.evaluate import MAX_SUBJECT, admits, attributes
from apostille.parties.gcp.settings import DIRECT, POOL_ID, PROJECT_NUMBER, SERVICE_ACCOUNT, GCPTrust
from apostille.parties.party import BindingView, TrustView
from apostille.rules import issuers
from apostille.rules.catalogue import AUD_COMMON, AUD_FOREIGN
from apostille.rules.checks import is_api_server

TARGET_FORM = Rule(
    "GCP101", "GCP-TARGET-FORM", Severity.BROKEN, "The target is not a service account",
    "Write its email, such as reader@my-project.iam.gserviceaccount.com, or `direct` for access without one",
    "Google knows a service account by its email. With `direct` the workload is a principal of its own.",
)  # fmt: skip
PROJECT = Rule(
    "GCP102", "GCP-MEMBER-PROJECT-ID", Severity.BROKEN, "The project is not named by its number",
    "Write the project's number: gcloud projects describe PROJECT --format='value(projectNumber)'",
    "Principals of a pool, and the audience of the exchange, name the project by its number. One that is made with "
    "the project's id is nobody.",
)  # fmt: skip
ID_FORM = Rule(
    "GCP103", "GCP-ID-FORM", Severity.BROKEN, "Pools and providers cannot be called so",
    "Use 4 to 32 of a-z, 0-9 and -, not beginning with gcp-",
    "Google takes no other ids (workloadIdentityPools.create, providers.create).",
)  # fmt: skip
SUBJECT_LONG = Rule(
    "GCP104", "GCP-SUBJECT-LONG", Severity.BROKEN, "The subject is longer than Google takes",
    "Choose shorter names: PROVIDER/NAMESPACE/SERVICEACCOUNT may have at most 127 bytes",
    "google.subject has at most 127 bytes; the exchange would always be refused. It is made of the provider's id, the "
    "namespace and the service account.",
)  # fmt: skip
ISSUER_FORM = Rule(
    "GCP201", "GCP-ISSUER-MISMATCH", Severity.BROKEN, "Google cannot use this issuer URL",
    "Serve the cluster's issuer under an https URL without query or fragment",
    "A provider takes an issuer only as an https URL, also where its keys are uploaded.",
)  # fmt: skip
ISSUER_PRIVATE = Rule(
    "GCP202", "X-ISSUER-PRIVATE", Severity.BROKEN, "Google cannot reach the issuer",
    "Set spec.relyingParty.gcp.keys: Uploaded, or publish discovery document and keys under a public host",
    "Google fetches the issuer's discovery document and keys from the internet, unless the keys are uploaded.",
)  # fmt: skip
KEYS_UNKNOWN = Rule(
    "GCP203", "GCP-KEYS-UNKNOWN", Severity.BROKEN, "There are no keys to upload",
    "Wait until the cluster's keys are known, or set spec.relyingParty.gcp.keys: Discovery",
    "An empty set of keys would make Google fetch them from the issuer's URL instead.",
    ("status", "lint"),
)  # fmt: skip
ALG = Rule(
    "GCP204", "GCP-ALG", Severity.BROKEN, "Google does not take the cluster's signatures",
    "Let the API server sign with RS256 or ES256 keys",
    "The Security Token Service takes tokens that are signed with RS256 or ES256 alone.",
)  # fmt: skip
CONDITION_SIZE = Rule(
    "GCP205", "GCP-CONDITION-SIZE", Severity.BROKEN, "The condition would be longer than Google takes",
    "Declare a second FederationTrust with a provider of its own for some of the bindings",
    "A provider's attribute condition has at most 4096 characters, and it lists every subject.",
    ("status", "lint"),
)  # fmt: skip
MEMBERS = Rule(
    "GCP206", "GCP-MEMBERS", Severity.BROKEN, "The service account would have more members than an IAM policy takes",
    "Spread the service accounts of the cluster over several of Google's",
    "An IAM policy has at most 1500 principals.",
    ("status", "lint"),
)  # fmt: skip
COND_EMPTY = Rule(
    "GCP207", "GCP-COND-EMPTY", Severity.WARN, "The provider takes every token of the issuer",
    "Set an attribute condition that lists the subjects",
    "Without a condition every service account of the cluster gets a token of Google's; only the members of IAM "
    "policies then say who may do what with it.",
    ("status", "lint"),
)  # fmt: skip
COND_TRUE = Rule(
    "GCP208", "GCP-COND-TRUE", Severity.DENY, "The condition lets strangers pass",
    "List the exact subjects: assertion.sub in ['system:serviceaccount:NAMESPACE:NAME']",
    "Two service accounts that nobody declared satisfy it.",
    ("status", "lint"),
)  # fmt: skip
SET_POOL = Rule(
    "GCP209", "GCP-SET-POOL", Severity.DENY, "The whole pool is a member",
    "Name principals: principal://iam.googleapis.com/POOL/subject/SUBJECT",
    "Every identity of every provider of the pool could take on the service account.",
    ("status", "lint"),
)  # fmt: skip
SET_SA_NAME = Rule(
    "GCP210", "GCP-SET-SA-NAME", Severity.DENY, "Service accounts of a name are members in every namespace",
    "Name principals, or a set by an attribute that holds namespace and name",
    "Whoever may create a service account in any namespace can give it that name.",
    ("status", "lint"),
)  # fmt: skip
SET_NS = Rule(
    "GCP211", "GCP-SET-NS", Severity.WARN, "All service accounts of a namespace are members",
    "Name principals",
    "Whoever may create a service account in the namespace takes on the target.",
    ("status", "lint"),
)  # fmt: skip
SUBJECT_CONST = Rule(
    "GCP212", "GCP-SUBJECT-CONST", Severity.DENY, "Different workloads become one subject",
    "Map google.subject to what is nobody else's, such as assertion.sub",
    "IAM and audit logs know a workload by google.subject alone. Where two have the same, each has the other's access.",
    ("status", "lint"),
)  # fmt: skip
JWKS_FIELD = Rule(
    "GCP213", "GCP-JWKS-FIELD", Severity.BROKEN, "The uploaded keys hold what Google does not take",
    "Leave kty, alg, use, kid, n, e, x, y and crv, nothing else",
    "Google refuses keys with any other member; a private part would be a secret given away.",
    ("status", "lint"),
)  # fmt: skip
AUD_COUNT = Rule(
    "GCP214", "GCP-AUD-COUNT", Severity.WARN, "The provider accepts several audiences",
    "Keep the one audience of the trust",
    "Each further audience is a receiver whose tokens Google takes too.",
    ("status", "lint"),
)  # fmt: skip
NOT_JUDGED = Rule(
    "GCP215", "GCP-NOT-JUDGED", Severity.WARN, "An expression is not judged",
    "Look at it yourself, or write it with operators, in, has(), startsWith, endsWith, contains and size",
    "What an expression means is evaluated, not guessed. Regular expressions and Google's own functions are not "
    "evaluated here, so nothing is said of whom they let in.",
    ("status", "lint"),
)  # fmt: skip
COND_PREFIX = Rule(
    "GCP216", "GCP-COND-PREFIX", Severity.WARN, "The condition compares a part of a claim",
    "List the exact subjects: assertion.sub in ['system:serviceaccount:NAMESPACE:NAME']",
    "Whoever may choose the rest of the name, such as who may create service accounts in a namespace, satisfies it.",
    ("status", "lint"),
)  # fmt: skip
AUD_GENERIC = Rule(
    "GCP217", "GCP-AUD-GENERIC", Severity.WARN, "The provider accepts an audience that is not its own",
    "Leave allowedAudiences out, which is the provider's own name, or name the trust's audience",
    "Tokens that were made for another receiver, or for the cluster itself, are good here too: whoever gets one can "
    "present it.",
    ("status", "lint"),
)  # fmt: skip
CRED_URL = Rule(
    "GCP218", "GCP-CRED-URL", Severity.DENY, "A credential file sends the token elsewhere",
    "Name https://sts.googleapis.com and https://iamcredentials.googleapis.com, and a file as the source",
    "Google's libraries send the token to whatever the file names and run what it says. Whoever can change the file "
    "has the identity.",
    ("lint",),
)  # fmt: skip
IMPERSONATE_BASIC = Rule(
    "GCP219", "GCP-IMPERSONATE-BASIC", Severity.DENY, "The workload is given a whole project",
    "Grant roles/iam.workloadIdentityUser in the policy of the one service account, and what it needs to that account",
    "A role on a project holds for every service account in it. With a basic role, such as roles/editor, it is the "
    "project.",
    ("status", "lint"),
)  # fmt: skip
RULES: tuple[Rule, ...] = (
    TARGET_FORM, PROJECT, ID_FORM, SUBJECT_LONG, ISSUER_FORM, ISSUER_PRIVATE, KEYS_UNKNOWN, ALG, CONDITION_SIZE,
    MEMBERS, COND_EMPTY, COND_TRUE, SET_POOL, SET_SA_NAME, SET_NS, SUBJECT_CONST, JWKS_FIELD, AUD_COUNT,
    NOT_JUDGED, COND_PREFIX, AUD_GENERIC, CRED_URL, IMPERSONATE_BASIC,
)  # fmt: skip

MAX_MEMBERS = 1500  # principals of one allow policy (IAM "Quotas and limits")
_GENERIC = "sts.googleapis.com"
_PARTIAL = re.compile(r"\.(startsWith|endsWith|contains)\(")
# Roles that only a project, a folder or an organisation has (IAM "Basic roles").
_BASIC = ("roles/owner", "roles/editor", "roles/viewer")
_SHORTEST_PROVIDER = "x" * 4
_KEY_MEMBERS = frozenset({"kty", "alg", "use", "kid", "n", "e", "x", "y", "crv"})


def audience(trust: TrustView, path: str) -> Iterator[Finding]:
    """X-AUD-FOREIGN for another provider's name, and the warning on an audience that others share."""
    value, own = trust.audience, f"//iam.googleapis.com/{trust.settings.provider_name}"
    if value == _GENERIC:
        yield AUD_COMMON.at(path, f"{value} is what many providers accept")
    bare = value.removeprefix("https:")
    if bare.startswith("//iam.googleapis.com/") and bare != own:
        yield AUD_FOREIGN.at(
            path, f"{value!r} is another provider's name", f"Write https:{own}, or an audience of its own"
        )


def settings(given: GCPTrust, path: str) -> Iterator[Finding]:
    """GCP-MEMBER-PROJECT-ID, GCP-ID-FORM."""
    if not PROJECT_NUMBER.fullmatch(given.project_number):
        yield PROJECT.at(f"{path}.projectNumber", f"{given.project_number!r} is not a project's number")
    for field, value in (("pool", given.pool), ("provider", given.provider)):
        if not POOL_ID.fullmatch(value):
            yield ID_FORM.at(f"{path}.{field}", f"{value!r} is not such an id")


def target(value: str, path: str) -> Iterator[Finding]:
    """GCP-TARGET-FORM."""
    if value != DIRECT and not SERVICE_ACCOUNT.fullmatch(value):
        yield TARGET_FORM.at(path, f"{value!r} is neither a service account's email nor `direct`")


def subject(value: str, path: str) -> Iterator[Finding]:
    """GCP-SUBJECT-LONG where it fits under no provider."""
    *_, namespace, name = value.split(":")
    size = len(documents.google_subject(_SHORTEST_PROVIDER, namespace, name).encode())
    if size > MAX_SUBJECT:
        yield SUBJECT_LONG.at(path, f"the subject of {value!r} has {size} bytes even under the shortest provider id")


def subjects(trust: TrustView, bindings: Iterable[BindingView], path: str) -> Iterator[Finding]:
    """GCP-SUBJECT-LONG under this provider."""
    for binding in bindings:
        for name in binding.service_accounts:
            made = documents.google_subject(trust.settings.provider, binding.namespace, name)
            if len(made.encode()) > MAX_SUBJECT:
                yield SUBJECT_LONG.at(
                    path, f"{made!r}, of WorkloadBinding {binding.key}, has {len(made.encode())} bytes"
                )


def issuer(found: Issuer, given: GCPTrust, path: str) -> Iterator[Finding]:
    """GCP-ISSUER-MISMATCH, X-ISSUER-PRIVATE, GCP-ALG, GCP-KEYS-UNKNOWN."""
    if not issuers.is_plain(found.url):
        yield ISSUER_FORM.at(path, f"the cluster's issuer is {found.url!r}")
    elif given.keys == "Discovery" and issuers.is_private(found.url):
        yield ISSUER_PRIVATE.at(path, f"the cluster's issuer is {found.url!r}, which is no public host")
    if other := sorted(set(found.algorithms) - {"RS256", "ES256"}):
        yield ALG.at(path, f"the cluster signs with {', '.join(other)}")
    if given.keys == "Uploaded" and not found.jwks:
        yield KEYS_UNKNOWN.at(path, "the cluster's keys are not known")


def judged(access: GCPAccess) -> Iterator[Finding]:
    """Rules on documents, ours or anybody's; paths are ``FILE:FIELD``."""
    where = f"{PROVIDER}:attributeCondition"
    try:
        yield from _expressions(access, where)
    except CannotJudge as error:
        yield NOT_JUDGED.at(where, str(error))
    listed = access.oidc.get("allowedAudiences") or ()
    if len(listed) > 1:
        yield AUD_COUNT.at(f"{PROVIDER}:oidc.allowedAudiences", f"it accepts {', '.join(map(str, listed))}")
    yield from _generic_audiences(access)
    yield from _keys(access.oidc)
    mapping = access.provider.get("attributeMapping") or {}
    for email, found in access.service_accounts.items():
        yield from policy(found, f"{documents.account_file(email)}:", mapping)
    for i, member in enumerate(access.direct):
        yield from _member(mapping, f"{DIRECT_FILE}:members[{i}]", member)


def policy(found: Mapping[str, Any], where: str, mapping: Mapping[str, Any]) -> Iterator[Finding]:
    """Members of an IAM policy that come from pools; ``mapping`` is the provider's, where it is known."""
    bindings = [one for one in found.get("bindings") or () if isinstance(one, Mapping)]
    of_project = any(one.get("role") in _BASIC for one in bindings)
    for i, binding in enumerate(bindings):
        role, listed = str(binding.get("role")), binding.get("members")
        for j, member in enumerate(listed if isinstance(listed, list) else ()):
            path = f"{where}bindings[{i}].members[{j}]"
            if "/workloadIdentityPools/" not in str(member):
                continue
            if role in documents.IMPERSONATES:
                yield from _member(mapping, path, str(member))
            if role in _BASIC[:2] or (of_project and role in documents.IMPERSONATES):
                yield IMPERSONATE_BASIC.at(path, f"{member} has {role} on a project")


def _generic_audiences(access: GCPAccess) -> Iterator[Finding]:
    issuer = Issuer(str(access.oidc.get("issuerUri", "")))
    for i, value in enumerate(map(str, access.oidc.get("allowedAudiences") or ())):
        if value == _GENERIC or is_api_server(value, issuer):
            yield AUD_GENERIC.at(f"{PROVIDER}:oidc.allowedAudiences[{i}]", f"it accepts {value!r}")


def _expressions(access: GCPAccess, where: str) -> Iterator[Finding]:
    condition = str(access.provider.get("attributeCondition") or "").strip()
    mapped = [attributes(access.provider, stranger) for stranger in _STRANGERS]
    if not condition:
        yield COND_EMPTY.at(where, "there is no condition")
    elif all(
        one is not None and admits(access.provider, stranger, one)
        for one, stranger in zip(mapped, _STRANGERS, strict=True)
    ):
        yield COND_TRUE.at(where, f"{condition!r} is true of service accounts that nobody declared")
    elif found := _PARTIAL.search(condition):
        yield COND_PREFIX.at(where, f"{found[1]} is in {condition!r}")
    told = [one["google.subject"] for one in mapped if one is not None]
    if len(told) > 1 and len(set(told)) < len(told):
        yield SUBJECT_CONST.at(f"{PROVIDER}:attributeMapping", f"{told[0]!r} is the subject of several")


def _keys(oidc: Mapping[str, Any]) -> Iterator[Finding]:
    if not (text := oidc.get("jwksJson")):
        return
    where = f"{PROVIDER}:oidc.jwksJson"
    try:
        keys = json.loads(text)["keys"]
        other = sorted({member for key in keys for member in key} - _KEY_MEMBERS)
    except (ValueError, KeyError, TypeError):
        yield JWKS_FIELD.at(where, "it is no set of keys")
        return
    if other:
        yield JWKS_FIELD.at(where, f"a key has {', '.join(other)}")


def _member(mapping: Mapping[str, Any], of: str, member: str) -> Iterator[Finding]:
    if "/workloadIdentityPools/" not in member:
        return
    project = member.partition("/projects/")[2].partition("/")[0]
    if not PROJECT_NUMBER.fullmatch(project):
        yield PROJECT.at(of, f"{member} names project {project!r}")
    kind, _, rest = member.partition("/workloadIdentityPools/")
    _, _, chosen = rest.partition("/")
    if not kind.startswith("principalSet:"):
        return
    expression = str(mapping.get(chosen.rpartition("/")[0], ""))
    if chosen == "*":
        yield SET_POOL.at(of, f"{member} is everybody")
    elif "['name']" in expression and "['namespace']" not in expression:
        yield SET_SA_NAME.at(of, f"{member} leaves the namespace open")
    elif "['namespace']" in expression and "['name']" not in expression:
        yield SET_NS.at(of, f"{member} leaves the service account open")


def _stranger(namespace: str, name: str) -> dict[str, Any]:
    return {
        "iss": "https://issuer.example",
        "sub": f"system:serviceaccount:{namespace}:{name}",
        "aud": ["https://audience.example"],
        "iat": 1780000000,
        "nbf": 1780000000,
        "exp": 1780003600,
        "jti": f"jti-of-{name}",
        "kubernetes.io": {
            "namespace": namespace,
            "serviceaccount": {"name": name, "uid": f"uid-of-{namespace}-{name}"},
            "pod": {"name": f"{name}-0", "uid": f"uid-of-pod-{name}"},
            "node": {"name": "n1", "uid": "uid-of-node"},
        },
    }


# Two of them share a namespace, two a name: what tells nobody apart shows.
_STRANGERS = (_stranger("x7f3a", "q9"), _stranger("x7f3a", "z2b"), _stranger("kw41", "q9"))
