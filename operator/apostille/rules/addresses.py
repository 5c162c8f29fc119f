"""Addresses of self-hosted relying parties, judged as they are written: nothing here resolves a name.

Whoever connects resolves once and judges what it got (design §5).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.rules import catalogue, checks

_URL = re.compile(r"https://(?P<host>\[[0-9A-Fa-f:.]+\]|[^:/?#@\[\]\s]+)(:(?P<port>[0-9]{1,5}))?/?")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# A name whose last label is a number is read as an IPv4 address by resolvers, in any base (inet_aton(3)).
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

# What answers to anybody on a cloud's network with credentials of the machine, beyond link-local addresses:
# Alibaba Cloud, Oracle Cloud, Azure's WireServer, EC2 over IPv6.
_METADATA = frozenset(
    ipaddress.ip_address(text) for text in ("100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254")
)
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """What an installation allows.

    ``hosts`` are exact names, or ``*.example.com`` for every name below; ``networks`` CIDRs. With neither, everything
    is allowed that is not always refused. ``loopback`` is for tests.
    ``proxied``: sidecars leave by an egress proxy, which resolves names, so that nobody can judge what they lead to:
    those must be among the hosts, or be ``direct``, which are names with all below them that it is not asked for.
    """

    hosts: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    loopback: bool = False
    proxied: bool = False
    direct: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, written: Iterable[str], *, loopback: bool = False, proxied: bool = False, direct: Iterable[str] = ()
    ) -> AddressPolicy:
        """From host names and CIDRs in any order. Raises ValueError naming the one that is neither."""
        hosts, networks = [], []
        for text in written:
            if "/" in text or _literal(text) is not None:
                networks.append(str(ipaddress.ip_network(text)))
            elif _is_name(text.lower().removeprefix("*.")):
                hosts.append(text.lower())
            else:
                raise ValueError(f"{text!r} is neither a host name nor a network")
        return cls(tuple(hosts), tuple(networks), loopback, proxied, tuple(direct))


def address(url: str, path: str, policy: AddressPolicy, issuer: Issuer | None) -> Iterator[Finding]:
    """X-URL-FORM and X-URL-ALLOWLIST for one URL that assertions would be sent to."""
    match = _URL.fullmatch(url)
    if match is None or int(match["port"] or 443) not in range(1, 65536):
        yield catalogue.URL_FORM.at(path, f"{url!r} is not such a URL")
        return
    host = match["host"].lower()
    literal = _literal(host)
    if literal is None and not _is_name(host):
        yield catalogue.URL_FORM.at(path, f"{host!r} is neither a host name nor an IP address in its usual form")
        return
    if forbidden := _forbidden_address(literal, policy) if literal else _forbidden_name(host, policy, issuer):
        yield catalogue.URL_REFUSED.at(path, f"{host} is {forbidden}")
    elif not _allowed(host, literal, policy):
        allowed = ", ".join((*policy.hosts, *policy.networks)) or "none by name, behind an egress proxy"
        yield catalogue.URL_REFUSED.at(
            path, f"{host} is not among the addresses that this installation allows ({allowed})"
        )


def ca_bundle(pem: str, path: str) -> Iterator[Finding]:
    """X-CA-BUNDLE: certificates in PEM and nothing else; a private key would be published to every pod."""
    begins = re.findall(r"-----BEGIN ([A-Z0-9 ]+)-----", pem)
    if foreign := [what for what in begins if what != "CERTIFICATE"]:
        yield catalogue.CA_BUNDLE.at(path, f"it holds a {foreign[0]}")
    elif pem and not re.fullmatch(
        r"(\s*-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=]+\s+)+-----END CERTIFICATE-----\s*)+", pem
    ):
        yield catalogue.CA_BUNDLE.at(path, "it is not a sequence of certificates in PEM")


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _is_name(host: str) -> bool:
    labels = host.split(".")
    return (
        len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels) and _NUMBER.fullmatch(labels[-1]) is None
    )


def _forbidden_address(literal: Address, policy: AddressPolicy) -> str:
    for found in (literal, *_embedded(literal)):
        if found.is_loopback:
            if not policy.loopback:
                return "a loopback address: in a pod it is the pod itself"
        elif found in _METADATA or found.is_link_local:
            return "link-local or a cloud's metadata service"
        elif found.is_unspecified or found.is_multicast or _is_reserved(found):
            return "not the address of one receiver"
    return ""


def _is_reserved(found: Address) -> bool:
    # Of IPv6 Python calls also the prefixes reserved that embed IPv4 addresses; what they embed is judged instead.
    return isinstance(found, ipaddress.IPv4Address) and found.is_reserved


def _embedded(literal: Address) -> list[Address]:
    """IPv4 addresses that an IPv6 address leads to."""
    if isinstance(literal, ipaddress.IPv4Address):
        return []
    found = [literal.ipv4_mapped, literal.sixtofour, *(literal.teredo or ())]
    if literal in _NAT64:
        found.append(ipaddress.IPv4Address(int(literal) & 0xFFFFFFFF))
    return [one for one in found if one is not None]


def _forbidden_name(host: str, policy: AddressPolicy, issuer: Issuer | None) -> str:
    if host == "localhost" or host.endswith((".localhost", ".localdomain")):
        return "" if policy.loopback else "a name of the pod itself"
    if host in _METADATA_NAMES:
        return "a cloud's metadata service"
    if checks.is_api_server(host, issuer):
        return "this cluster's own API server"
    return ""


def below(host: str, rule: str) -> bool:
    """Whether a name is ``rule`` or below it; below it alone where it begins with a dot or ``*.``."""
    name = rule.lower().lstrip("*").lstrip(".")
    return host.endswith(f".{name}") or (host == name and name == rule.lower())


def _allowed(host: str, literal: Address | None, policy: AddressPolicy) -> bool:
    if not policy.hosts and not policy.networks:
        return literal is not None or not policy.proxied or any(below(host, name) for name in policy.direct)
    if literal is not None:
        if policy.loopback and literal.is_loopback:
            return True
        return any(
            literal in network
            for network in map(ipaddress.ip_network, policy.networks)
            if network.version == literal.version
        )
    return any(host == known or (known.startswith("*.") and host.endswith(known[1:])) for known in policy.hosts)
