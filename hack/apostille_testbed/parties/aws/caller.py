"""Who signed a request: the session behind an access key, with each service's own words of refusal."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable

from apostille_testbed.parties.aws import sigv4
from apostille_testbed.parties.aws.errors import Refused
from apostille_testbed.parties.aws.iam import IAM
from apostille_testbed.parties.aws.sessions import Session, Sessions
from apostille_testbed.parties.serving import Request

_SKEW = 900  # seconds (AWS "Elements of a request signature")


class Caller:
    """Authenticates signed requests with the sessions that STS issued; ``clock`` decides what has expired."""

    def __init__(self, iam: IAM, sessions: Sessions, clock: Callable[[], float], region: str) -> None:
        self._iam = iam
        self._sessions = sessions
        self._clock = clock
        self._region = region

    def sts(self, request: Request) -> Session:
        """The caller of an STS action. Raises Refused with STS' codes."""
        header = request.headers.get("Authorization")
        if header is None:
            raise Refused("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
        try:
            signature = sigv4.read(header)
            session = self._live(signature.access_key)
            if session is None or not _same(request.headers.get("X-Amz-Security-Token", ""), session.token):
                raise Refused("InvalidClientTokenId", "The security token included in the request is invalid.", 403)
            if session.expires <= self._clock():
                raise Refused("ExpiredToken", "The security token included in the request is expired", 403)
            if (
                signature.service != "sts"
                or signature.region != self._region
                or _skewed(request)
                or sigv4.unsigned_headers(request, signature)
                or not sigv4.matches(request, signature, session.secret_key)
            ):
                raise Refused("SignatureDoesNotMatch", "The request signature does not match.", 403)
        except sigv4.Malformed as error:
            raise Refused("IncompleteSignature", "The request signature does not conform to AWS standards") from error
        return session

    def s3(self, request: Request) -> Session:
        """The caller of an S3 operation. Raises Refused with S3's codes (Amazon S3 "Error responses")."""
        header = request.headers.get("Authorization")
        if header is None:
            # No bucket here is public, and a signature in the query (presigned) is not served.
            raise Refused("AccessDenied", "Access Denied", 403)
        try:
            signature = sigv4.read(header)
            session = self._live(signature.access_key)
            if session is None:
                raise Refused(
                    "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", 403
                )
            if not _same(request.headers.get("X-Amz-Security-Token", ""), session.token):
                raise Refused("InvalidToken", "The provided token is malformed or otherwise invalid.")
            if session.expires <= self._clock():
                raise Refused("ExpiredToken", "The provided token has expired.")
            if signature.service != "s3" or signature.region != self._region:
                raise sigv4.Malformed("the credential scope is another service's or region's")
            if _skewed(request):
                raise Refused(
                    "RequestTimeTooSkewed",
                    "The difference between the request time and the current time is too large.",
                    403,
                )
            if sigv4.unsigned_headers(request, signature):
                raise Refused("AccessDenied", "There were headers present in the request which were not signed", 403)
            if not sigv4.matches(request, signature, session.secret_key):
                raise Refused(
                    "SignatureDoesNotMatch",
                    "The request signature we calculated does not match the signature you provided.",
                    403,
                )
        except sigv4.Malformed as error:
            raise Refused("AuthorizationHeaderMalformed", f"The authorization header is malformed; {error}") from error
        return session

    def _live(self, access_key: str) -> Session | None:
        session = self._sessions.find(access_key)
        # A deleted role takes its sessions with it, even when its name is used again (IAM "Unique identifiers").
        if session is None or self._iam.role_by_id(session.role_id) is None:
            return None
        return session


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())


def _skewed(request: Request) -> bool:
    # Against the machine's clock, not the party's: client and party share the machine, and a test that moves
    # the party's clock to end sessions must not make every signature look stale.
    return abs(time.time() - sigv4.signed_at(request).timestamp()) > _SKEW
