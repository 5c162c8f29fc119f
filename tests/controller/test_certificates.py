"""The Secret is written step by step, whatever happens to it; nothing that is trusted goes while it may be served."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api_double import ApiDouble
from apostille.controller import issuing
from apostille.controller.certificates import Certificates
from apostille.core import certificates as core
from apostille.core.settings import CertificateSettings
from apostille.kube.client import ApiError
from controller.declarations import OWN
from jumping_loop import in_no_time

HOST = f"apostille-admission.{OWN}.svc"
SECRET = f"/api/v1/namespaces/{OWN}/secrets/apostille-serving-certificate"
SOURCE = f"/api/v1/namespaces/{OWN}/secrets/issued"
OWNER = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "apostille-anchor", "uid": "u"}
SETTINGS = CertificateSettings(HOST, settle=timedelta(seconds=5), replicas=(("127.0.0.1", 9),))
DAY = timedelta(days=1)


class Clocked(ApiDouble):
    """With a clock that a test moves."""

    ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Configurations:
    """One webhook configuration, as the cluster has it."""

    def __init__(self) -> None:
        self.bundle: str | None = None
        self.shown: bool | None = True

    def names(self, kind: str) -> set[str]:
        return {"apostille-kinds"} if self.bundle is not None and kind.startswith("Validating") else set()

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return {"webhooks": [{"name": "kinds.apostille.dev", "clientConfig": {"caBundle": self.bundle}}]}

    def shows(self, configurations: Any) -> bool | None:
        return self.shown


class Scene:
    def __init__(self, api: Clocked, settings: CertificateSettings, cluster: Configurations) -> None:
        self.api, self.cluster = api, cluster
        self.certificates = Certificates(
            api,  # type: ignore[arg-type]
            cluster,  # type: ignore[arg-type]
            cluster,  # type: ignore[arg-type]
            OWN,
            settings,
            lambda: None,
            self._spread,
        )
        self.spreads = 0

    def _spread(self) -> None:
        self.spreads += 1
        self.cluster.bundle = self.certificates.bundle

    async def advance(self) -> float:
        await asyncio.sleep(0.1)  # watches
        return await self.certificates.advance(OWNER)

    async def settled(self) -> None:
        """Time passes until an API server must have heard."""
        await self.advance()
        await asyncio.sleep(6)

    def serve(self, *leaves: str | None) -> None:
        """What replicas were seen with."""
        self.certificates._replicas.seen = {str(number): leaf for number, leaf in enumerate(leaves)}

    @property
    def secret(self) -> dict[str, str]:
        return {name: base64.b64decode(text).decode() for name, text in self.api.objects[SECRET]["data"].items()}

    @property
    def named(self) -> str:
        """The leaf that replicas may serve."""
        return str(self.api.objects[SECRET]["metadata"]["annotations"].get("apostille.dev/serve", ""))

    @property
    def trusted(self) -> int:
        """Authorities in the webhook configuration."""
        return len(core.certificates(base64.b64decode(self.cluster.bundle or "").decode()))

    async def install(self) -> str:
        await self.advance()
        await self.advance()  # the webhook configuration is written
        self.cluster.bundle = self.certificates.bundle
        self.serve(self.named, self.named)
        assert await self.advance() == 60
        return self.named


@asynccontextmanager
async def scene(
    api: Clocked | None = None, settings: CertificateSettings = SETTINGS, cluster: Configurations | None = None
) -> AsyncIterator[Scene]:
    made = Scene(api or Clocked(), settings, cluster or Configurations())

    async def nobody() -> dict[str, str | None]:
        return dict(made.certificates._replicas.seen or {"0": None})

    made.certificates._replicas.look = nobody  # type: ignore[method-assign]
    running = asyncio.create_task(made.certificates.run())
    await asyncio.sleep(0.1)
    yield made
    running.cancel()


@in_no_time
async def test_a_first_installation_waits_for_nothing() -> None:
    async with scene() as one:
        assert one.certificates.bundle == ""

        await one.advance()

        assert core.fingerprint(one.secret["tls.crt"]) == one.named
        assert one.certificates.bundle == core.bundle([one.secret["ca.crt"]])
        metadata = one.api.objects[SECRET]["metadata"]
        assert metadata["ownerReferences"] == [OWNER]
        await one.install()
        assert [request for request in one.api.requests if request[0] == "APPLY"] == [("APPLY", SECRET)]


@in_no_time
async def test_a_rotation_in_order() -> None:
    async with scene() as one:
        old = await one.install()
        one.api.ahead = 61 * DAY

        await one.advance()
        assert {"next.crt", "next.key"} < one.secret.keys()
        assert (one.named, one.trusted) == (old, 1)
        await one.advance()
        assert (one.named, one.trusted, one.spreads) == (old, 2, 1)
        one.cluster.shown = False
        await one.settled()
        await one.advance()
        assert one.named == old  # the API server does not use it yet
        one.cluster.shown = True
        await one.advance()
        new = one.named
        assert new == core.fingerprint(one.secret["tls.crt"]) != old
        assert one.secret.keys() == {"tls.crt", "tls.key", "ca.crt"}
        for seen in ((old, old), (new, old), (new, None)):
            one.serve(*seen)
            await one.advance()
            assert len(core.certificates(one.secret["ca.crt"])) == one.trusted == 2
        one.serve(new, new)
        await one.advance()
        await one.advance()
        assert len(core.certificates(one.secret["ca.crt"])) == one.trusted == 1
        assert await one.advance() == 60


@in_no_time
async def test_what_nobody_can_show_is_waited_for_by_the_clock() -> None:
    async with scene() as one:
        old = await one.install()
        one.api.ahead, one.cluster.shown = 61 * DAY, None
        for _ in range(5):
            await one.advance()
        assert one.named == old
        await one.settled()
        await one.advance()

        assert one.named != old


def lose(secret: dict[str, Any]) -> None:
    secret["data"] = {}


def swap(secret: dict[str, Any]) -> None:
    made = issuing.issue(HOST, datetime.now(UTC), DAY)
    texts = {"tls.crt": made.leaf, "tls.key": made.key, "ca.crt": made.authorities[0]}
    secret["data"] = {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}


def mix(secret: dict[str, Any]) -> None:
    swapped = dict(secret)
    swap(swapped)
    secret["data"] = {**secret["data"], "tls.key": swapped["data"]["tls.key"]}


def garble(secret: dict[str, Any]) -> None:
    secret["data"] = dict.fromkeys(secret["data"], base64.b64encode(b"\xff\xfenothing").decode())


@pytest.mark.parametrize("damage", [None, lose, swap, mix, garble])
@in_no_time
async def test_a_secret_that_is_lost_or_damaged(damage: Any) -> None:
    """What is served goes on being trusted; a new one comes in the usual order."""
    async with scene() as one:
        old = await one.install()
        if damage is None:
            one.api.drop(SECRET)
        else:
            changed = {**one.api.objects[SECRET], "metadata": dict(one.api.objects[SECRET]["metadata"])}
            damage(changed)
            one.api.put(SECRET, **changed)

        await one.advance()
        assert one.named == ""
        await one.advance()
        assert one.trusted == (3 if damage is swap else 2)
        await one.settled()
        await one.advance()
        assert one.named not in ("", old)
        assert one.trusted >= 2
        one.serve(one.named, one.named)
        await one.advance()
        await one.advance()
        assert one.trusted == 1


@in_no_time
async def test_one_that_cannot_be_changed_is_replaced() -> None:
    api = Clocked()
    api.put(SECRET, metadata={"namespace": OWN}, type="kubernetes.io/tls", data={}, immutable=True)

    def refuse(verb: str, path: str) -> None:
        if verb == "APPLY" and path in api.objects and api.objects[path].get("immutable"):
            raise ApiError(422, "Invalid", "field is immutable when `immutable` is set")

    api.fail = refuse
    async with scene(api) as one:
        await one.advance()
        await one.advance()

        assert one.named


@in_no_time
async def test_without_a_right_to_the_secret_what_is_trusted_stays() -> None:
    first = Configurations()
    first.bundle = core.bundle(issuing.issue(HOST, datetime.now(UTC), DAY).authorities)
    api = Clocked()

    def refuse(verb: str, path: str) -> None:
        if "secrets" in path:
            raise ApiError(403, "Forbidden", "no")

    api.fail = refuse
    async with scene(api, cluster=first) as one:
        await one.advance()

        assert one.certificates.bundle == first.bundle
        assert not [request for request in api.requests if request[0] == "APPLY"]


@in_no_time
async def test_a_caBundle_that_somebody_edited_is_repaired() -> None:
    async with scene() as one:
        await one.install()
        right = one.cluster.bundle
        for edit in ("", core.bundle(issuing.issue(HOST, datetime.now(UTC), DAY).authorities)):
            one.cluster.bundle = edit
            await one.advance()
            assert one.cluster.bundle == right


def offer(api: Clocked, made: issuing.Material, **changed: str) -> None:
    texts = {"tls.crt": made.leaf, "tls.key": made.key, "ca.crt": made.authorities[0], **changed}
    api.put(
        SOURCE,
        metadata={"namespace": OWN},
        data={name: base64.b64encode(text.encode()).decode() for name, text in texts.items()},
    )


@in_no_time
async def test_what_somebody_else_issues_is_taken_in_the_same_order() -> None:
    """Their Secret changes at once; ours, which is what replicas serve, when everybody trusts it."""
    api, source = Clocked(), replace(SETTINGS, source="issued")
    async with scene(api, source) as one:
        await one.advance()
        assert SECRET not in api.objects  # nobody has issued anything yet
        first, second = (issuing.issue(HOST, datetime.now(UTC), 5 * DAY) for _ in range(2))
        offer(api, first)
        assert await one.install() == first.pair.leaf

        offer(api, second, **{"ca.crt": first.authorities[0]})
        for _ in range(3):
            await one.advance()
        assert (one.named, one.trusted) == (first.pair.leaf, 1)  # it is not verified by what is beside it
        offer(api, second)
        await one.advance()
        await one.advance()
        assert (one.named, one.trusted) == (first.pair.leaf, 2)
        await one.settled()
        await one.advance()
        assert one.named == second.pair.leaf

        api.drop(SOURCE)
        one.serve(second.pair.leaf)
        await one.advance()
        assert one.named == second.pair.leaf
