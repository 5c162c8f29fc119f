"""Certificates made and read: the only place of the controller that knows X.509."""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from apostille.core.certificates import Pair, certificates, fingerprint

# A clock that jumps back must not make a certificate invalid. Before it was made nobody had its key.
NOT_BEFORE = datetime(2020, 1, 1, tzinfo=UTC)
MAX_CHAIN = 8


class Unusable(ValueError):
    """A pair that must not be served; the message says why."""


@dataclass(frozen=True, slots=True)
class Material:
    """A pair in PEM. ``authorities`` verify it, each in PEM of its own."""

    pair: Pair
    leaf: str
    key: str
    authorities: tuple[str, ...]


def issue(host: str, now: datetime, lifetime: timedelta) -> Material:
    """A leaf for ``host``, a DNS name or an address, of an authority that signs nothing else, ever."""
    not_after = (now + lifetime).replace(microsecond=0)
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name = _name(f"apostille {uuid.uuid4().hex[:16]}")
    identifier = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = (
        _builder(authority_name, authority_name, authority_key.public_key(), not_after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    leaf = (
        _builder(_name("apostille-admission"), authority_name, key.public_key(), not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_host(host)]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return read(_pem(leaf), private.decode(), [_pem(authority)], host)


def read(leaf: str, key: str, authorities: Sequence[str], host: str) -> Material:
    """Raises Unusable where the key is another's, or the API server would not verify the leaf for ``host``.

    Of ``authorities`` those are kept that verify it. Time is not judged here: nobody's clock is known.
    """
    try:
        chain = x509.load_pem_x509_certificates("".join(certificates(leaf)).encode())
        private = serialization.load_pem_private_key(key.encode(), None)
        roots = [x509.load_pem_x509_certificate(pem.encode()) for text in authorities for pem in certificates(text)]
    except (ValueError, TypeError) as error:
        raise Unusable(f"not a certificate with its key: {error}") from None
    if _public(private.public_key()) != _public(chain[0].public_key()):
        raise Unusable("the key is not the certificate's")
    if not _names(chain[0], host):
        raise Unusable(f"the certificate is not for {host}")
    verified = [root for root in roots if _verifies(root, chain)]
    if not verified:
        raise Unusable("none of the authorities has signed it")
    pems = tuple(_pem(root) for root in verified)
    ends = [certificate.not_valid_after_utc for certificate in (chain[0], *verified)]
    pair = Pair(fingerprint(leaf), frozenset(map(fingerprint, pems)), min(ends))
    return Material(pair, "".join(certificates(leaf)), key, pems)


def unexpired(authorities: Sequence[str], now: datetime) -> list[str]:
    """The certificates of PEM texts that can still verify anything."""
    found = []
    for pem in (pem for text in authorities for pem in certificates(text)):
        try:
            ends = x509.load_pem_x509_certificate(pem.encode()).not_valid_after_utc
        except ValueError:
            continue
        if ends > now:
            found.append(pem)
    return found


def _verifies(root: x509.Certificate, chain: Sequence[x509.Certificate]) -> bool:
    current, rest = chain[0], list(chain[1:])
    for _ in range(MAX_CHAIN):
        if _signed(current, root):
            return True
        above = next((candidate for candidate in rest if _signed(current, candidate)), None)
        if above is None:
            return False
        rest.remove(above)
        current = above
    return False


def _signed(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _names(leaf: x509.Certificate, host: str) -> bool:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        known = {name.lower() for name in names.get_values_for_type(x509.DNSName)}
        return host.lower() in known or f"*.{host.lower().partition('.')[2]}" in known
    return address in names.get_values_for_type(x509.IPAddress)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, not_after: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(not_after)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _public(key: object) -> bytes:
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    encoded: bytes = key.public_bytes(serialization.Encoding.DER, kind)  # type: ignore[attr-defined]
    return encoded


def _pem(certificate: x509.Certificate) -> str:
    return "".join(certificates(certificate.public_bytes(serialization.Encoding.PEM).decode()))
