"""Keycloak's own rules (cloud-trust §19.6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from apostille.model.finding import Finding, Rule, Severity
from apostille.parties.keycloak import evaluate
from apostille.parties.keycloak.documents import CLIENT, PROVIDER, USER, Document, KeycloakAccess
from apostille.parties.keycloak.settings import is_client_id
from apostille.parties.party import BindingView, TrustView

LONGEST_ASSERTION = 3600  # seconds since iat

TARGET_FORM = Rule(
    "KEY101", "KC-TARGET-FORM", Severity.BROKEN, "The target is not the id of a client",
    "Write the client's id alone: 3 to 128 lower-case letters, digits, dots, dashes and underscores",
    "A client's id also names the rendered document and, with JWTBearer, the user; Keycloak lowers the names of users.",
)  # fmt: skip
LIFE = Rule(
    "KEY102", "KC-LIFE", Severity.BROKEN, "Keycloak refuses assertions that old",
    f"Lower ceilings.assertionSeconds to at most {LONGEST_ASSERTION}",
    "Keycloak refuses a token that was issued more than 3,600 seconds ago (`Token was issued too far in the past to be "
    "used now`), however long it is valid. The kubelet renews a token at four fifths of its life: one that lives "
    "longer would be refused for a part of it.",
)  # fmt: skip
AUD = Rule(
    "KEY103", "KC-AUD", Severity.BROKEN, "The audience is not the realm's issuer",
    "Leave spec.audience out, or write the realm's issuer exactly: ADDRESS/realms/REALM",
    "A realm accepts one audience, its own issuer, and tokens that have no other beside it.",
)  # fmt: skip
ONE_SUBJECT = Rule(
    "KEY104", "KC-ONE-SUBJECT", Severity.BROKEN, "A client is for one service account",
    "Give each service account a client of its own",
    "A client names the one subject that authenticates it. A second service account with the same client would be "
    "refused, or take its place.",
)  # fmt: skip
ONE_CLIENT = Rule(
    "KEY105", "KC-ONE-CLIENT", Severity.BROKEN, "A service account is one client",
    "Bind the service account to one client of the realm; give a second workload a service account of its own",
    "Keycloak finds the client by issuer and subject. Where two clients name the same subject, one of them gets every "
    "token, and nobody can say which.",
)  # fmt: skip
ROLE = Rule(
    "KEY201", "KC-ROLE", Severity.WARN, "The client's tokens could administer the realm, or carry every role",
    "Turn off full scope, and take roles of realm-management away from its account",
    "With full scope a token carries every role that its account has or ever gets; with a role of realm-management it "
    "can change the realm itself.",
    ("status", "lint"),
)  # fmt: skip
SECRET = Rule(
    "KEY202", "KC-SECRET", Severity.DENY, "The client has another way in than the workload's token",
    "Set clientAuthenticatorType to federated-jwt, and the client confidential",
    "A client secret is a stored secret: whoever has it is the workload, from anywhere. A public client is anybody.",
    ("status", "lint"),
)  # fmt: skip
NO_SUB = Rule(
    "KEY203", "KC-NO-SUB", Severity.BROKEN, "The client does not say whose tokens authenticate it",
    "Set jwt.credential.issuer to the provider's alias and jwt.credential.sub to the exact subject",
    "Keycloak compares both exactly; a client without them is nobody's.",
    ("status", "lint"),
)  # fmt: skip
DEFAULT_ACCOUNT = Rule(
    "KEY204", "KC-SUB-DEFAULT", Severity.DENY, "Any pod of the namespace is this client",
    "Give the workload a service account of its own and name that",
    "Every pod that names no service account runs as default, also those that nobody thought of.",
    ("status", "lint"),
)  # fmt: skip
FLOWS = Rule(
    "KEY205", "KC-FLOWS", Severity.WARN, "The client also logs in people",
    "Turn off standardFlowEnabled, implicitFlowEnabled and directAccessGrantsEnabled",
    "A workload's client needs none of the flows for people; each is one more way to a token in its name.",
    ("status", "lint"),
)  # fmt: skip
REUSE = Rule(
    "KEY206", "STS-SINGLE-USE", Severity.BROKEN, "Each assertion is accepted once",
    "Set jwtAuthorizationGrantAssertionReuseAllowed to true",
    "A pod has one token until the kubelet brings the next, after minutes: the second exchange with it, after a "
    "restart of the container for instance, would be refused.",
    ("status", "lint"),
)  # fmt: skip
RULES: tuple[Rule, ...] = (
    TARGET_FORM, LIFE, AUD, ONE_SUBJECT, ONE_CLIENT, ROLE, SECRET, NO_SUB, DEFAULT_ACCOUNT, FLOWS, REUSE,
)  # fmt: skip

_FLOWS = ("standardFlowEnabled", "implicitFlowEnabled", "directAccessGrantsEnabled")


def trust(view: TrustView) -> Iterator[Finding]:
    """KC-AUD and KC-LIFE."""
    if view.audience != view.settings.issuer:
        yield AUD.at("spec.audience", f"{view.audience!r} is not {view.settings.issuer!r}")
    if view.assertion_seconds > LONGEST_ASSERTION:
        yield LIFE.at("spec.ceilings.assertionSeconds", f"{view.assertion_seconds} is above {LONGEST_ASSERTION}")


def target(value: str, path: str) -> Iterator[Finding]:
    """KC-TARGET-FORM."""
    if not is_client_id(value):
        yield TARGET_FORM.at(path, f"{value!r} is not the id of a client")


def one_client(bindings: Sequence[BindingView], path: str) -> Iterator[Finding]:
    """KC-ONE-CLIENT."""
    first: dict[str, BindingView] = {}
    for binding in bindings:
        for subject in binding.subjects:
            other = first.setdefault(subject, binding)
            if other.target.client != binding.target.client:
                yield ONE_CLIENT.at(
                    path,
                    f"WorkloadBinding {other.key} binds {subject} to {other.target.client}, {binding.key} to "
                    f"{binding.target.client}",
                )


def documents(access: KeycloakAccess) -> Iterator[Finding]:
    """Rules on documents, ours or anybody's; paths are ``FILE:FIELD``."""
    for alias, provider in access.providers.items():
        reuse = (provider.get("config") or {}).get("jwtAuthorizationGrantAssertionReuseAllowed")
        if provider.get("providerId") == "jwt-authorization-grant" and reuse != "true":
            yield REUSE.at(f"{PROVIDER}{alias}.json:config", f"{alias} takes each token once")
    for name, client in access.clients.items():
        yield from _client(f"{CLIENT}{name}.json", name, client)
    for name, user in access.users.items():
        roles = user.get("clientRoles") or {}
        if roles.get("realm-management"):
            yield ROLE.at(f"{USER}{name}.json:clientRoles", f"{name} has roles of realm-management")


def _client(file: str, name: str, client: Document) -> Iterator[Finding]:
    if client.get("publicClient") or client.get("clientAuthenticatorType") != evaluate.FEDERATED:
        how = "nothing" if client.get("publicClient") else client.get("clientAuthenticatorType") or "client-secret"
        yield SECRET.at(f"{file}:clientAuthenticatorType", f"{name} authenticates with {how}")
    elif not all(evaluate.credential({**client, "enabled": True}) or ("",)):
        yield NO_SUB.at(f"{file}:attributes", f"{name} names no issuer or no subject")
    subject = (client.get("attributes") or {}).get("jwt.credential.sub", "")
    if str(subject).startswith("system:serviceaccount:") and str(subject).endswith(":default"):
        yield DEFAULT_ACCOUNT.at(f"{file}:attributes", f"{name} is {subject}")
    if client.get("fullScopeAllowed", True):
        yield ROLE.at(f"{file}:fullScopeAllowed", f"tokens of {name} carry every role of its account")
    # Left out, the standard flow is on (Admin REST API).
    on = [flow for flow in _FLOWS if client.get(flow, flow == "standardFlowEnabled")]
    if on:
        yield FLOWS.at(f"{file}:{on[0]}", f"{name} has {', '.join(on)}")
