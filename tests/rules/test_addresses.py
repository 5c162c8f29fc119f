"""Addresses of self-hosted parties, as they are written."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apostille.rules.addresses import AddressPolicy, address, ca_bundle
from builders import ISSUER

ANY = AddressPolicy()


def rules(url: str, policy: AddressPolicy = ANY) -> list[str]:
    return [finding.rule.id for finding in address(url, "spec.address", policy, ISSUER)]


@pytest.mark.parametrize(
    "url",
    [
        "https://vault.example",
        "https://vault.example/",
        "https://vault.example:8200",
        "https://vault.vault.svc:8200",
        "https://vault.vault.svc.cluster.local",
        "https://VAULT.example",
        "https://10.1.2.3:9000",
        "https://192.168.1.1",
        "https://[fd00::1]:8200",
        "https://[2001:db8::1]",
        "https://minio_1.example",
        "https://1password.example",
        "https://notlocalhost.example",
        "https://metadata.example",
        "https://kubernetes.example",
    ],
)
def test_addresses_that_can_be_a_partys(url: str) -> None:
    assert rules(url) == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "vault.example",
        "http://vault.example",
        "HTTPS://vault.example",
        "ftp://vault.example",
        "https://",
        "https://:8200",
        "https://vault.example:0",
        "https://vault.example:65536",
        "https://vault.example:port",
        "https://vault.example/path",
        "https://vault.example?x=1",
        "https://vault.example#x",
        "https://user@vault.example",
        "https://user:word@vault.example",
        "https://vault.example\\@evil.example",
        "https://vault.example @evil.example",
        "https://vault.example\n",
        "https://vault..example",
        "https://-vault.example",
        "https://vault.example.",
        "https://välut.example",
        f"https://{'a' * 64}.example",
        "https://2130706433",
        "https://0x7f000001",
        "https://0x7f.1",
        "https://127.1",
        "https://017700000001",
        "https://0177.0.0.1",
        "https://169.254.169.254.",
        "https://1.2.3.4.5",
        "https://[::1",
        "https://[fe80::1%eth0]",
        "https://[vault.example]",
    ],
)
def test_what_is_not_an_address_is_refused(url: str) -> None:
    assert rules(url) == ["APO601"]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.8.9.10",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "localhost",
        "vault.localhost",
        "LOCALHOST",
        "localhost.localdomain",
        "169.254.169.254",
        "169.254.1.1",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "metadata.google.internal",
        "metadata",
        "instance-data",
        "0.0.0.0",  # noqa: S104
        "[::]",
        "224.0.0.1",
        "[ff02::1]",
        "255.255.255.255",
        "240.0.0.1",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "KUBERNETES.default.SVC",
        "api.internal",
    ],
)
def test_where_no_assertion_may_ever_go(host: str) -> None:
    assert rules(f"https://{host}") == ["APO602"]
    assert rules(f"https://{host}:8443") == ["APO602"]


def test_loopback_is_a_tests_privilege_and_nothing_else_comes_with_it() -> None:
    policy = AddressPolicy(loopback=True)
    for host in ("127.0.0.1", "[::1]", "localhost", "vault.localhost"):
        assert rules(f"https://{host}:8200", policy) == []
    for host in ("169.254.169.254", "[fe80::1]", "[::]", "metadata", "kubernetes.default.svc"):
        assert rules(f"https://{host}", policy) == ["APO602"]


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("vault.example", True),
        ("VAULT.EXAMPLE", True),
        ("sub.vault.example", False),
        ("a.minio.example", True),
        ("a.b.minio.example", True),
        ("minio.example", False),
        ("evilminio.example", False),
        ("10.1.2.3", True),
        ("10.2.0.1", False),
        ("[fd00:1::5]", True),
        ("[fd00:2::5]", False),
        ("other.example", False),
    ],
)
def test_the_installations_list(host: str, allowed: bool) -> None:
    policy = AddressPolicy.of(["vault.example", "*.minio.example", "10.1.0.0/16", "fd00:1::/32"])
    assert rules(f"https://{host}", policy) == ([] if allowed else ["APO602"])


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("vault.example", False),
        ("vault.vault.svc", True),
        ("db.corp.example", True),
        ("corp.example", False),
        ("intern", True),
        ("a.intern", True),
        ("10.1.2.3", True),
        ("169.254.169.254", False),
    ],
)
def test_behind_an_egress_proxy_a_name_must_be_allowed_by_name(host: str, allowed: bool) -> None:
    """The proxy resolves it: nobody here can say what it leads to."""
    policy = AddressPolicy.of([], proxied=True, direct=[".svc", "*.corp.example", "intern", "10.0.0.0/8"])
    assert rules(f"https://{host}", policy) == ([] if allowed else ["APO602"])
    named = AddressPolicy.of(["vault.example"], proxied=True)
    assert rules("https://vault.example", named) == []
    assert rules("https://vault.vault.svc", named) == ["APO602"]
    around = AddressPolicy.of(["vault.example"], proxied=True, direct=[".svc"])
    assert rules("https://vault.example", around) == []
    assert rules("https://vault.vault.svc", around) == ["APO602"], "a way around the proxy widens no list"


def test_the_list_never_allows_what_is_always_refused() -> None:
    policy = AddressPolicy.of(
        ["169.254.0.0/16", "0.0.0.0/0", "*.google.internal", "kubernetes.default.svc", "127.0.0.1"]
    )
    for host in ("169.254.169.254", "127.0.0.1", "metadata.google.internal", "kubernetes.default.svc"):
        assert rules(f"https://{host}", policy) == ["APO602"]


@pytest.mark.parametrize("text", ["10.0.0.1/8", "a b", "http://x", "*", "*.*.example", "", "10.0.0.0/99"])
def test_a_list_that_cannot_be_read_is_not_guessed(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        AddressPolicy.of([text])


@given(st.integers(0, 2**32 - 1))
def test_every_spelling_of_an_ipv4_address_is_judged_like_it(number: int) -> None:
    plain = str(ipaddress.IPv4Address(number))
    verdict = rules(f"https://{plain}")
    assert rules(f"https://[::ffff:{plain}]") == verdict
    assert rules(f"https://[64:ff9b::{plain}]") == verdict
    for other in (str(number), hex(number), oct(number).replace("0o", "0")):
        assert rules(f"https://{other}") == ["APO601"]


CERTIFICATE = "-----BEGIN CERTIFICATE-----\nQUJD\nREVG\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("pem", "good"),
    [
        ("", True),
        (CERTIFICATE, True),
        (CERTIFICATE * 2, True),
        (CERTIFICATE.replace("\n", "\r\n"), True),
        (f"\n{CERTIFICATE}\n\n{CERTIFICATE}", True),
        ("x", False),
        (f"comment\n{CERTIFICATE}", False),
        (CERTIFICATE.replace("END", "end"), False),
        (CERTIFICATE.replace("QUJD", "Q UJ!"), False),
        (CERTIFICATE + CERTIFICATE.replace("CERTIFICATE", "PRIVATE KEY"), False),
        (CERTIFICATE.replace("CERTIFICATE", "EC PRIVATE KEY"), False),
        (CERTIFICATE.replace("CERTIFICATE", "PUBLIC KEY"), False),
    ],
)
def test_ca_bundles(pem: str, good: bool) -> None:
    found = list(ca_bundle(pem, "spec.caBundle"))
    assert [finding.rule.id for finding in found] == ([] if good else ["APO603"])
    assert all("QUJD" not in str(finding) for finding in found)
