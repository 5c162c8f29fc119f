"""A token issuer as small as it can be: keys, discovery, key set, and tokens with any fault on request."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from apostille_testbed.parties.serving import Reply, Request, Server
from apostille_testbed.parties.tls import Authority

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


def new_key(algorithm: str) -> PrivateKey:
    """A fresh private key for a JWS algorithm."""
    if algorithm.startswith("RS"):
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(_CURVES[algorithm])


def public_jwk(key: PrivateKey, algorithm: str, kid: str) -> dict[str, Any]:
    """The key as kube-apiserver publishes it."""
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        members = RSAAlgorithm.to_jwk(public, as_dict=True)
    else:
        members = ECAlgorithm.to_jwk(public, as_dict=True)
    return {name: members[name] for name in members if name != "key_ops"} | {
        "use": "sig",
        "alg": algorithm,
        "kid": kid,
    }


class Issuer:
    """Signs with ``signing``; publishes ``jwks``, ``document`` and counts the reads of the key set."""

    def __init__(self, url: str, algorithm: str = "ES256", kid: str = "key-1") -> None:
        self.url = url
        self.algorithm, self.kid = algorithm, kid
        self.signing = new_key(algorithm)
        self.jwks = [public_jwk(self.signing, algorithm, kid)]
        self.document: dict[str, Any] = {
            "issuer": url,
            "jwks_uri": f"{url.rstrip('/')}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [algorithm],
        }
        self.reads = 0

    def rotate(self, kid: str) -> None:
        """Signs with a new key and withdraws the old one."""
        self.signing, self.kid = new_key(self.algorithm), kid
        self.jwks = [public_jwk(self.signing, self.algorithm, kid)]

    def claims(self, subject: str, audience: str | list[str], **changes: Any) -> dict[str, Any]:
        """The claims of a good token; a change to None leaves a claim out."""
        now = int(time.time())
        good = {"iss": self.url, "sub": subject, "aud": audience, "iat": now, "nbf": now, "exp": now + 3600}
        return {name: value for name, value in (good | changes).items() if value is not None}

    def token(self, subject: str, audience: str | list[str], **changes: Any) -> str:
        """A token signed with the current key."""
        return self.sign(self.claims(subject, audience, **changes))

    def sign(self, claims: Mapping[str, Any], header: Mapping[str, Any] | None = None) -> str:
        """Any claims, signed; ``header`` replaces the usual members."""
        members = {"alg": self.algorithm, "kid": self.kid} if header is None else dict(header)
        signed = f"{_encode(members)}.{_encode(claims)}"
        signer = jwt.get_algorithm_by_name(self.algorithm)
        return f"{signed}.{_base64(signer.sign(signed.encode(), self.signing))}"

    def unsigned(self, claims: Mapping[str, Any]) -> str:
        """A token with ``alg: none``."""
        return f"{_encode({'alg': 'none', 'kid': self.kid})}.{_encode(claims)}."

    def symmetric(self, claims: Mapping[str, Any]) -> str:
        """A token "signed" with the public key as the secret of HS256."""
        secret = self.signing.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        signed = f"{_encode({'alg': 'HS256', 'kid': self.kid})}.{_encode(claims)}"
        return f"{signed}.{_base64(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"

    def answer(self, request: Request) -> Reply:
        """Serves discovery and key set."""
        if request.path == "/.well-known/openid-configuration":
            return Reply(200, json.dumps(self.document).encode())
        if request.path == "/openid/v1/jwks":
            # As kube-apiserver does: the key set has a media type of its own and no other.
            if request.headers.get("Accept", "*/*") not in ("*/*", "application/jwk-set+json"):
                return Reply(406)
            self.reads += 1
            return Reply(200, json.dumps({"keys": self.jwks}).encode())
        return Reply(404)


class Published:
    """A copy of an issuer's documents, by their paths."""

    def __init__(self, documents: Mapping[str, Any]) -> None:
        self._documents = documents

    def answer(self, request: Request) -> Reply:
        """Serves the copy."""
        found = self._documents.get(request.path)
        return Reply(404) if found is None else Reply(200, json.dumps(found).encode())


@contextmanager
def served(issuer: Issuer | Published, directory: Path) -> Iterator[tuple[Server, Path]]:
    """Runs the issuer's endpoints; yields the server and its CA file."""
    directory.mkdir(parents=True, exist_ok=True)
    authority = Authority(directory)
    server = Server(issuer.answer, authority.server(["127.0.0.1"]), "127.0.0.1")
    server.start()
    try:
        yield server, authority.pem
    finally:
        server.close()


def _encode(members: Mapping[str, Any]) -> str:
    return _base64(json.dumps(members).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
