"""Google's Security Token Service and IAM credentials on one loopback port, and lists of objects behind their tokens.

Order and errors: cloud-trust §4.3 and §18.4 item 2, from "Workload Identity Federation" (troubleshooting) and the STS
and iamcredentials REST references.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from apostille_testbed.parties import jws
from apostille_testbed.parties.assertions import Fault
from apostille_testbed.parties.google.expressions import EvaluationError
from apostille_testbed.parties.google.pools import Pools, Provider
from apostille_testbed.parties.judge import Judge
from apostille_testbed.parties.jws import Token
from apostille_testbed.parties.serving import Reply, Request

STS, IAM_CREDENTIALS, STORAGE = "sts.googleapis.com", "iamcredentials.googleapis.com", "storage.googleapis.com"
ALGORITHMS = frozenset({"RS256", "ES256"})
_TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
_SUBJECT_TYPES = ("urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token")
_SCOPES = frozenset({"https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/iam"})
_AUDIENCE = re.compile(
    r"//iam\.googleapis\.com/(projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9-]+/providers/[a-z0-9-]+)"
)
_GENERATE = re.compile(r"/v1/projects/-/serviceAccounts/([^/:]+):generateAccessToken")
_OBJECTS = re.compile(r"/storage/v1/b/([a-z0-9._-]+)/o")
_LIFETIME = re.compile(r"([0-9]{1,5})s")
LIFE, OLDEST = 3600, 24 * 3600  # seconds: of a federated token; since iat
MAX_SUBJECT = 127  # bytes


@dataclass(frozen=True)
class Exchange:
    """One call of /v1/token. Subject and audience are as presented; ``code`` is ``OK`` or the error."""

    time: float
    code: str
    subject: str
    audience: tuple[str, ...]
    provider: str
    detail: str = ""


@dataclass(frozen=True)
class Holder:
    """Whom a token stands for: all IAM members that it is, or the service account."""

    members: frozenset[str]
    scopes: frozenset[str]
    expires: float
    service_account: str = ""


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class GoogleParty(Judge):
    """Google Cloud as far as workload identity federation goes.

    Args:
        clock: seconds since the epoch.
        settings: those of `Judge`; Google documents no leeway.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time, **settings: Any) -> None:
        super().__init__("google", [STS, IAM_CREDENTIALS, STORAGE], ALGORITHMS, clock, **settings)
        self.pools = Pools()
        self._buckets: dict[str, tuple[tuple[str, ...], frozenset[str]]] = {}
        self._exchanges: list[Exchange] = []
        self._tokens: dict[str, Holder] = {}

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Every exchange so far, oldest first, without tokens."""
        with self.lock:
            return tuple(self._exchanges)

    def holder(self, token: str) -> Holder | None:
        """Whom an access token stands for now; what a resource's IAM policy is judged by."""
        with self.lock:
            found = self._tokens.get(token)
        return found if found is not None and self.clock() < found.expires else None

    def has_direct_access(self, token: str) -> bool:
        """Whether a role was granted to the token's principal directly."""
        found = self.holder(token)
        return found is not None and bool(found.members & self.pools.direct)

    def create_bucket(self, name: str, objects: Iterable[str], readers: Iterable[str] = ()) -> None:
        """Makes a bucket; ``readers`` are IAM members besides the principals to which roles are granted directly."""
        with self.lock:
            self._buckets[name] = tuple(objects), frozenset(readers)

    def answer(self, request: Request) -> Reply:
        """Dispatches by path; all hosts are one server."""
        if request.method == "GET" and (match := _OBJECTS.fullmatch(request.path)):
            return self._list(request, match[1])
        if (request.method, request.path) == ("POST", "/v1/token"):
            try:
                return self._exchange(request)
            except _Refused as refused:
                return _json(refused.status, {"error": refused.code, "error_description": refused.message})
        if request.method == "POST" and (match := _GENERATE.fullmatch(request.path)):
            try:
                return self._impersonate(request, match[1])
            except _Refused as refused:
                error = {"code": refused.status, "message": refused.message, "status": refused.code}
                return _json(refused.status, {"error": error})
        return _json(404, {"error": {"code": 404, "message": "Not found", "status": "NOT_FOUND"}})

    def _list(self, request: Request, bucket: str) -> Reply:
        """objects.list (Cloud Storage JSON API)."""
        scheme, _, presented = request.headers.get("Authorization", "").partition(" ")
        caller = self.holder(presented) if scheme == "Bearer" else None
        if caller is None:
            return _json(401, {"error": {"code": 401, "message": "Invalid Credentials"}})
        with self.lock:
            objects, readers = self._buckets.get(bucket, ((), frozenset()))
        if not caller.members & (readers | self.pools.direct):
            message = "Caller does not have storage.objects.list access (or it may not exist)."
            return _json(403, {"error": {"code": 403, "message": message}})
        return _json(200, {"kind": "storage#objects", "items": [{"name": name} for name in objects]})

    def _exchange(self, request: Request) -> Reply:
        audience: tuple[str, ...] = ()
        subject, named, code, detail = "", "", "OK", ""
        try:
            form = _form(request)
            named = form["audience"]
            match = _AUDIENCE.fullmatch(named)
            if match is None:
                raise _Refused(
                    400, "invalid_request",
                    'Invalid value for "audience". This value should be the full resource name of the Identity '
                    "Provider. See https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token for the list "
                    "of possible formats.",
                )  # fmt: skip
            provider = self.pools.find(match[1])
            if provider is None:
                raise _Refused(
                    400, "invalid_target",
                    'The target service indicated by the "audience" parameters is invalid. This might either be '
                    "because the pool or provider is disabled or deleted or because it doesn't exist.",
                )  # fmt: skip
            token = self._read(form["subject_token"])
            subject, audience = token.subject, token.audiences
            self._verify(provider, token)
            members = self._map(provider, token)
            return self._issue(members, frozenset(form["scope"].split()), subject)
        except _Refused as refused:
            code, detail = refused.code, refused.message
            raise
        finally:
            with self.lock:
                self._exchanges.append(Exchange(self.clock(), code, subject, audience, named, detail))

    def _read(self, compact: str) -> Token:
        try:
            token = self.verifier.read(compact)
        except Fault as fault:
            raise _Refused(400, "invalid_grant", f"Unable to parse the ID Token: {fault.detail}") from None
        # The JWT must have iat (STS reference, subject_token); iat and exp are judged in `_verify`.
        if "iat" not in token.claims:
            raise _Refused(400, "invalid_grant", "The ID Token has no iat")
        return token

    def _verify(self, provider: Provider, token: Token) -> None:
        """Issuer, keys, signature, times, audience."""
        if token.issuer != provider.issuer:
            raise _Refused(
                400, "invalid_grant",
                f"The issuer in ID Token {token.issuer} does not match the expected one {provider.issuer}.",
            )  # fmt: skip
        if provider.keys is not None:
            self._uploaded(provider.keys, token)
        else:
            self._fetched(token)
        now = self.clock()
        issued = token.claims["iat"]
        if issued < now - OLDEST or now >= token.claims["exp"] or max(issued, token.claims.get("nbf", 0)) > now:
            raise _Refused(400, "invalid_grant", f"ID Token issued at {issued} is stale to sign-in.")
        name = f"//iam.googleapis.com/{provider.name}"
        if not set(provider.audiences or (name, f"https:{name}")) & set(token.audiences):
            raise _Refused(
                400, "invalid_grant",
                f"The audience in ID Token [{', '.join(token.audiences)}] does not match the expected audience.",
            )  # fmt: skip

    def _fetched(self, token: Token) -> None:
        try:
            self.verifier.verify(token)
        except Fault as fault:
            if fault.kind == "key" and token.header.get("kid"):
                raise _Refused(400, "invalid_grant", "Error connecting to the given credential's issuer.") from None
            if fault.kind not in ("expired", "early"):
                raise _bad_signature() from None

    def _uploaded(self, keys: tuple[Mapping[str, Any], ...], token: Token) -> None:
        algorithm, kid = token.header.get("alg"), token.header.get("kid")
        known = [key for key in keys if isinstance(kid, str) and key.get("kid") == kid]
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS or not jws.verifies(token, algorithm, known):
            raise _bad_signature()

    def _map(self, provider: Provider, token: Token) -> frozenset[str]:
        """Mapping, size of the subject, condition; returns the members that the identity is."""
        scope = {"assertion": dict(token.claims)}
        try:
            mapped = {name: expression.value(scope) for name, expression in provider.mapping.items()}
        except EvaluationError as error:
            raise _Refused(400, "invalid_request", f"Failed to map the attributes of the ID Token: {error}") from None
        subject = mapped["google.subject"]
        if not isinstance(subject, str) or not subject:
            raise _Refused(400, "invalid_request", "The mapped attribute google.subject must be of type STRING.")
        if len(subject.encode()) > MAX_SUBJECT:
            raise _Refused(
                400, "invalid_request",
                f"The size of mapped attribute google.subject exceeds the {MAX_SUBJECT} bytes limit. Either modify "
                "your attribute mapping or the incoming assertion to produce a mapped attribute that is less than "
                f"{MAX_SUBJECT} bytes.",
            )  # fmt: skip
        if provider.condition is not None:
            google, attribute = (
                {name.removeprefix(kind): value for name, value in mapped.items() if name.startswith(kind)}
                for kind in ("google.", "attribute.")
            )
            try:
                admitted = provider.condition.value({**scope, "google": google, "attribute": attribute})
            except EvaluationError:
                admitted = False
            if admitted is not True:
                raise _Refused(
                    400, "unauthorized_client", "The given credential is rejected by the attribute condition."
                )
        everybody = f"principalSet://iam.googleapis.com/{provider.pool}"
        sets = {f"{everybody}/{name}/{value}" for name, value in mapped.items() if name.startswith("attribute.")}
        groups = {f"{everybody}/group/{group}" for group in mapped.get("google.groups", ())}
        own = f"principal://iam.googleapis.com/{provider.pool}/subject/{subject}"
        return frozenset({own, f"{everybody}/*", *sets, *groups})

    def _issue(self, members: frozenset[str], scopes: frozenset[str], subject: str) -> Reply:
        issued, life = f"ya29.d.{secrets.token_urlsafe(96)}", self.life(subject, LIFE)
        with self.lock:
            self._tokens[issued] = Holder(members, scopes, self.clock() + life)
        return _json(
            200,
            {"access_token": issued, "issued_token_type": _ACCESS_TOKEN, "token_type": "Bearer", "expires_in": life},
        )

    def _impersonate(self, request: Request, email: str) -> Reply:
        """projects.serviceAccounts.generateAccessToken."""
        scheme, _, presented = request.headers.get("Authorization", "").partition(" ")
        caller = self.holder(presented) if scheme == "Bearer" else None
        if caller is None:
            raise _Refused(
                401, "UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 access token."
            )
        document = _document(request)
        scopes, lifetime = document.get("scope"), str(document.get("lifetime") or "3600s")
        if not isinstance(scopes, list) or not scopes or not all(isinstance(scope, str) for scope in scopes):
            raise _Refused(400, "INVALID_ARGUMENT", "Scope required.")
        match = _LIFETIME.fullmatch(lifetime)
        # Longer needs constraints/iam.allowServiceAccountCredentialLifetimeExtension, which nobody set here.
        if match is None or not 0 < int(match[1]) <= 3600:
            raise _Refused(400, "INVALID_ARGUMENT", f"Invalid value at 'lifetime': {lifetime}")
        if not caller.scopes & _SCOPES:
            raise _Refused(403, "PERMISSION_DENIED", "Request had insufficient authentication scopes.")
        allowed = self.pools.may_impersonate(email)
        # One answer for "no such service account" and "no member of it": nobody learns which.
        if allowed is None or not caller.members & allowed:
            raise _Refused(
                403, "PERMISSION_DENIED",
                "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
            )  # fmt: skip
        issued, expires = f"ya29.c.{secrets.token_urlsafe(96)}", self.clock() + int(match[1])
        with self.lock:
            self._tokens[issued] = Holder(frozenset({f"serviceAccount:{email}"}), frozenset(scopes), expires, email)
        told = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires))
        return _json(200, {"accessToken": issued, "expireTime": told})


def _bad_signature() -> _Refused:
    return _Refused(400, "invalid_grant", "The signature of the ID Token cannot be verified.")


def _form(request: Request) -> dict[str, str]:
    """The form of the exchange. Raises _Refused for what is missing, repeated or not known."""
    kind = request.headers.get("Content-Type", "").split(";")[0].strip().lower()
    try:
        pairs = parse_qsl(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=16)
    except ValueError:
        pairs = []
    form = dict(pairs)
    if kind != "application/x-www-form-urlencoded" or not pairs or len(form) != len(pairs) or request.query:
        raise _Refused(400, "invalid_request", "Send a form with each parameter once")
    needed = {
        "grant_type": (_TOKEN_EXCHANGE,),
        "requested_token_type": (_ACCESS_TOKEN,),
        "subject_token_type": _SUBJECT_TYPES,
    }
    if unknown := sorted(set(form) - {*needed, "audience", "scope", "subject_token"}):
        # options, actor_token: nothing of ours sends them, and none may be ignored.
        raise _Refused(400, "invalid_request", f"{unknown[0]} is not served by this party")
    for name, values in needed.items():
        if form.get(name) not in values:
            code = "unsupported_grant_type" if name == "grant_type" else "invalid_request"
            raise _Refused(400, code, f"Invalid value for {name!r}")
    for name in ("audience", "subject_token", "scope"):
        if not form.get(name):
            raise _Refused(400, "invalid_request", f"Missing required field: {name}")
    return form


def _document(request: Request) -> dict[str, Any]:
    try:
        document = json.loads(request.body)
    except ValueError:
        document = None
    if (
        not isinstance(document, dict)
        or set(document) - {"scope", "lifetime", "delegates"}
        or document.get("delegates")
    ):
        raise _Refused(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
    return document


def _json(status: int, document: Mapping[str, object]) -> Reply:
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/json"})
