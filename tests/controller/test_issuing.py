"""What is issued, and what is taken from others: only what the API server would verify."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from apostille.controller.issuing import Material, Unusable, issue, read, unexpired
from apostille.core.certificates import fingerprint

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOST = "apostille-admission.apostille-system.svc"


def handshake(material: Material, host: str, bundle: str) -> None:
    """In memory. Raises ssl.SSLError."""
    from apostille.admission.certificates import _with

    server, client = _with(material.leaf + material.key), ssl.create_default_context(cadata=bundle)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize("host", [HOST, "127.0.0.1", "fd00::1"])
def test_what_is_issued_is_verified_by_its_authority_alone(host: str) -> None:
    made, other = (issue(host, datetime.now(UTC), DAY) for _ in range(2))

    handshake(made, host, made.authorities[0])
    handshake(made, host, other.authorities[0] + made.authorities[0])
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(made, host, other.authorities[0])
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(made, "elsewhere.example", made.authorities[0])
    assert made.pair.leaf == fingerprint(made.leaf)
    assert made.pair.authorities == frozenset(map(fingerprint, made.authorities))


def test_a_clock_that_jumps_back_does_not_make_it_invalid() -> None:
    made = issue(HOST, datetime.now(UTC) + 4000 * DAY, DAY)

    handshake(made, HOST, made.authorities[0])


def test_how_long_it_lasts() -> None:
    made = issue(HOST, NOW, 90 * DAY)

    assert made.pair.not_after == NOW + 90 * DAY
    assert unexpired(made.authorities, NOW + 89 * DAY) == list(made.authorities)
    assert unexpired(made.authorities, NOW + 91 * DAY) == []


def of(leaf: trustme.LeafCert) -> tuple[str, str]:
    return "".join(part.bytes().decode() for part in leaf.cert_chain_pems), leaf.private_key_pem.bytes().decode()


def test_others_may_have_an_authority_between() -> None:
    root = trustme.CA()
    between = root.create_child_ca()
    leaf, key = of(between.issue_cert(HOST))
    anchor, foreign = root.cert_pem.bytes().decode(), trustme.CA().cert_pem.bytes().decode()

    made = read(leaf, key, [foreign + anchor], HOST)

    assert made.pair.authorities == {fingerprint(anchor)}
    handshake(made, HOST, made.authorities[0])
    assert read(*of(root.issue_cert("*.apostille-system.svc")), [anchor], HOST).pair.leaf


def test_what_the_api_server_would_not_verify_is_not_taken() -> None:
    root, foreign = trustme.CA(), trustme.CA()
    (leaf, key), (other, _) = of(root.issue_cert(HOST)), of(root.issue_cert("other.example"))
    anchor = root.cert_pem.bytes().decode()
    for wrong, said in (
        ((leaf, key, [foreign.cert_pem.bytes().decode()]), "none of the authorities"),
        ((leaf, key, []), "none of the authorities"),
        ((other, of(root.issue_cert(HOST))[1], [anchor]), "the key is not"),
        ((*of(root.issue_cert("other.example")), [anchor]), f"not for {HOST}"),
        (("", key, [anchor]), "not a certificate"),
        ((leaf, "", [anchor]), "not a certificate"),
        ((leaf[:200], key, [anchor]), "not a certificate"),
        ((leaf, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", [anchor]), "not a certificate"),
    ):
        with pytest.raises(Unusable, match=said):
            read(*wrong, HOST)
