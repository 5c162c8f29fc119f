"""Vault, OpenBao and MinIO with tokens of a real API server, before and after a rotation of its signing key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import real_servers
from apostille.parties.minio.party import MinIO
from apostille.parties.minio.settings import role_arn
from apostille.parties.vault.party import Vault
from apostille_testbed import ControlPlane
from apostille_testbed.processes import wait_for
from self_hosted import minio_binding, minio_trust, vault_binding, vault_trust

# One API server for these and for the others that rotate its key.
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("oauth")]

Ask = Callable[[str, str], bool]
"""Whether a service account `reader` of a namespace gets in with a token for an audience."""


@pytest.fixture(params=["vault", "openbao", "minio"])
def world(
    request: pytest.FixtureRequest, signing_cluster: ControlPlane, tmp_path: Path
) -> Iterator[real_servers.World[Any]]:
    with real_servers.world(request.param, signing_cluster, tmp_path) as running:
        yield running


def declared(world: real_servers.World[Any]) -> tuple[str, Ask]:
    """Declared, rendered and applied for the reader in `payments`: the audience, and who gets in."""
    if world.server.name == "minio":
        trust, minio = minio_trust(), MinIO()
        made = minio.access(trust.view, [minio_binding().view(minio)], world.facts)
        world.server.apply(minio.render(made, "native"))
        role = role_arn(trust.audience, "")
        return (
            trust.audience,
            lambda namespace, audience: (
                world.server.exchange(world.real_token(audience, namespace, "reader"), RoleArn=role).status == 200
            ),
        )
    trust, vault = vault_trust(), Vault()
    access = vault.access(trust.view, [vault_binding().view(vault)], world.facts)
    world.server.apply("jwt", vault.render(access, "native"))
    return (
        trust.audience,
        lambda namespace, audience: (
            world.server.login("jwt", "payments-reader", world.real_token(audience, namespace, "reader")).status == 200
        ),
    )


def test_real_tokens_and_a_real_rotation(world: real_servers.World[Any]) -> None:
    for namespace in ("payments", "orders"):
        world.account(namespace, "reader")
    audience, gets_in = declared(world)

    def judged() -> list[bool]:
        return [gets_in(*asked) for asked in (("payments", audience), ("orders", audience), ("payments", "other"))]

    assert judged() == [True, False, False]
    world.cluster.rotate_service_account_key()
    wait_for(world.server.process, lambda: gets_in("payments", audience), 60)
    assert judged() == [True, False, False]
