"""Rotation of the admission server's certificate: the next step, from Secret, caBundles and replicas as they are.

Each rotation has an authority of its own, whose key signs one leaf and is thrown away. The order: the new pair is kept
beside the one that is served (*prepare*); its authority stands in every caBundle beside the old one (*spread*), and the
API server uses them (*wait*); the Secret names the new leaf, which replicas then serve (*switch*); every replica is
seen with it, and the old authority goes, first from the Secret (*forget*), then from the caBundles (*spread*). Nothing
is remembered between two steps but what can be seen again, so a process may end between any two of them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

# Keys of the Secret. `ca.crt` has every authority that must be trusted; `next.*` is what is prepared.
LEAF, KEY, AUTHORITIES, NEXT_LEAF, NEXT_KEY = "tls.crt", "tls.key", "ca.crt", "next.crt", "next.key"

Name = Literal["install", "prepare", "spread", "wait", "switch", "forget", "done"]
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s(.+?)-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Pair:
    """A leaf with its key that fit together and are verified by ``authorities`` alone. Digests are `fingerprint`'s."""

    leaf: str
    authorities: frozenset[str]
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Kept:
    """What the Secret holds. ``serving`` is None where it is missing or damaged: replicas then serve what they have."""

    serving: Pair | None = None
    following: Pair | None = None
    trusted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Seen:
    """What was observed. ``bundles`` are the authorities in the caBundles, by configuration.

    ``settled``: they have been like this for longer than an API server needs to hear of it. ``shown``: whether the API
    server was seen to use them; None where it cannot be asked. ``replicas``: the leaf that each serves, None where it
    could not be seen; None altogether before the first look.
    """

    bundles: Mapping[str, frozenset[str]] = field(default_factory=dict)
    settled: bool = False
    shown: bool | None = None
    replicas: Mapping[str, str | None] | None = None

    @property
    def in_bundles(self) -> frozenset[str]:
        """Authorities that any caBundle has."""
        return frozenset().union(*self.bundles.values())


@dataclass(frozen=True, slots=True)
class Renewal:
    """When a pair is replaced: ``before`` its end; also where it would live for much longer than ``lifetime``."""

    lifetime: timedelta
    before: timedelta

    def due(self, pair: Pair, now: datetime) -> bool:
        """``now`` is the API server's time: it is who verifies."""
        return pair.not_after - self.before <= now or now + 2 * self.lifetime < pair.not_after


@dataclass(frozen=True, slots=True)
class Decision:
    """The next step, and the authorities that every caBundle must have before, during and after it."""

    step: Name
    trusted: frozenset[str]


def decide(kept: Kept, seen: Seen, now: datetime, renewal: Renewal, offered: Pair | None = None) -> Decision:
    """``offered`` is a pair that somebody else keeps; it is taken instead of one of our own. None: ours are made.

    *install* and *prepare* ask for a new pair.
    """
    trusted = must_trust(kept, seen)

    def good(pair: Pair | None) -> bool:
        if offered is not None:
            return pair is not None and pair.leaf == offered.leaf
        return pair is not None and not renewal.due(pair, now)

    if kept.serving is None and not seen.in_bundles:
        return Decision("install", trusted)
    if kept.following is None:
        if not good(kept.serving):
            return Decision("prepare", trusted)
    elif not good(kept.following):
        return Decision("prepare", trusted)
    if any(bundle != trusted for bundle in seen.bundles.values()):
        return Decision("spread", trusted)
    if kept.following is not None:
        return Decision("switch" if seen.settled and seen.shown is not False else "wait", trusted)
    if kept.serving is not None and kept.trusted != kept.serving.authorities:
        return Decision("forget" if everywhere(kept, seen) else "wait", trusted)
    return Decision("done", trusted)


def must_trust(kept: Kept, seen: Seen) -> frozenset[str]:
    """What every caBundle must have. What one has already stays until no replica can need it."""
    pairs = [pair.authorities for pair in (kept.serving, kept.following) if pair is not None]
    known = kept.trusted.union(*pairs)
    return known if everywhere(kept, seen) else known | seen.in_bundles


def everywhere(kept: Kept, seen: Seen) -> bool:
    """Whether each replica that there is was seen with the leaf that the Secret names."""
    if kept.serving is None or seen.replicas is None:
        return False
    return all(leaf == kept.serving.leaf for leaf in seen.replicas.values())


def after(kept: Kept, decision: Decision, new: Pair | None = None) -> Kept:
    """What the Secret is to hold after a step that writes it; ``new`` is the pair that the step asks for."""
    match decision.step, new:
        case "install", Pair():
            return Kept(new, None, decision.trusted | new.authorities)
        case "prepare", Pair():
            return Kept(kept.serving, new, decision.trusted | new.authorities)
        case "switch", None:
            return Kept(kept.following, None, decision.trusted)
        case "forget", None if kept.serving is not None:
            return Kept(kept.serving, None, kept.serving.authorities)
    raise ValueError(f"{decision.step} writes nothing like this")


def certificates(pem: str) -> list[str]:
    """The certificates of a PEM text, each in PEM of its own; nothing else that stands in it."""
    found = []
    for match in _PEM.finditer(pem):
        try:
            der = base64.b64decode("".join(match[1].split()), validate=True)
        except (binascii.Error, ValueError):
            continue
        text = base64.b64encode(der).decode()
        lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
        found.append(f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
    return found


def fingerprint(pem: str) -> str:
    """SHA-256 of the first certificate of a PEM text, in hexadecimal digits; empty where there is none."""
    for one in certificates(pem)[:1]:
        body = "".join(one.splitlines()[1:-1])
        return hashlib.sha256(base64.b64decode(body)).hexdigest()
    return ""


def bundle(authorities: Sequence[str]) -> str:
    """A caBundle of PEM certificates: always the same for the same ones."""
    known = {fingerprint(pem): pem for text in authorities for pem in certificates(text)}
    return base64.b64encode("".join(pem for _, pem in sorted(known.items())).encode()).decode()
