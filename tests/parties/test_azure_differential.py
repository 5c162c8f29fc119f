"""Our judgement of federated credentials against the strict Entra, which shares no code with it; and the SDK."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from apostille.model.identity import Issuer
from apostille.parties.azure.party import Azure
from apostille.parties.party import Paths
from apostille_testbed import ControlPlane
from apostille_testbed.parties import party
from apostille_testbed.parties.issuers import DISCOVERY, KEYS
from apostille_testbed.parties.issuers import of as documents_of
from apostille_testbed.parties.proxy import Proxy
from properties import examples
from samples.azure import APP, READER, TENANT, WRITER, azure_binding, azure_trust
from testbed.entra_world import URL, World, world
from testbed.strict_sts_issuer import Published, served

PARTY = Azure()
CODES = {
    "TargetMissing": (700016, 70025), "IssuerUnknown": (700211,), "SubjectMismatch": (700213,),
    "AudienceMismatch": (700212,), "no verdict": (700212,),
}  # fmt: skip


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("entra")) as running:
        yield running


accounts = st.sampled_from(["reader", "reader2", "writer"])
clients = st.sampled_from([READER, WRITER, APP])
bindings = st.lists(
    st.builds(
        lambda name, namespace, names, client: azure_binding(
            name, namespace, client, subject={"serviceAccountNames": names}
        ),
        st.sampled_from(["a", "b", "c", "d"]), st.sampled_from(["payments", "pay"]),
        st.lists(accounts, min_size=1, max_size=2, unique=True), clients,
    ),
    min_size=1, max_size=4, unique_by=lambda made: (made.namespace, made.name),
)  # fmt: skip
OWN = "the trust's"
requests = st.tuples(
    st.sampled_from(["payments", "pay", "evil"]),
    accounts,
    st.sampled_from([[OWN]] * 6 + [["other"], [OWN, "other"], [OWN + "/"], []]),
    st.sampled_from([URL] * 8 + [URL + "/", "https://other.example"]),
    clients,
)


@examples(50)
@given(bindings=bindings, asked=st.lists(requests, min_size=3, max_size=6))
def test_exchanges(strict: World, bindings: list[Any], asked: list[Any]) -> None:
    """Who gets in by what we render is who we say, and who is declared: the same verdict, with the vendor's code."""
    by = azure_trust()
    views = [one.view(PARTY) for one in bindings]
    access = PARTY.access(by.view, views, Issuer(URL))
    rendered = PARTY.render(access, "native")
    assert not [finding for finding in PARTY.findings(by.view, views, Issuer(URL)) if finding.refuses]
    strict.entra.directory.apply(rendered)
    declared = {(subject, view.target.client_id) for view in views for subject in view.subjects}
    for namespace, name, receivers, iss, client in asked:
        audience = [one.replace(OWN, by.audience) for one in receivers]
        subject = f"system:serviceaccount:{namespace}:{name}"
        presented = {"iss": iss, "sub": subject, "aud": audience}
        try:
            verdict = PARTY.evaluate(access, presented, client)
            assert PARTY.evaluate(PARTY.parse(rendered), presented, client) == verdict
            allowed, reason = verdict.allowed, verdict.reason
        except ValueError:
            allowed, reason = False, "no verdict"
        event(reason or "in")
        answer = strict.exchange(strict.token(subject, audience, iss=iss), client_id=client)
        assert bool(answer.token) is allowed
        assert allowed or answer.code in CODES[reason]
        assert allowed == (iss == URL and audience == [by.audience] and (subject, client) in declared)


SDK = """
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import WorkloadIdentityCredential
try:
    print(WorkloadIdentityCredential().get_token("https://storage.azure.com/.default").token)
except ClientAuthenticationError as error:
    print("refused", error.message)
"""


@pytest.mark.integration
def test_the_vendors_sdk_with_tokens_of_a_real_api_server(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    """By its name Entra is the strict one, which reads the cluster's keys from a published copy."""
    read = documents_of(control_plane)
    issuer = Issuer(read(DISCOVERY)["issuer"])
    for name in ("reader", "stranger"):
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts"
        control_plane.client.request("POST", path, {"metadata": {"name": name}})
    by = azure_trust()
    bound = {client: azure_binding("a", namespace, client).view(PARTY) for client in (READER, APP)}
    paths = Paths(str(tmp_path / "token"), str(tmp_path), str(tmp_path))

    def sdk(client: str, token: str) -> str:
        Path(paths.token).write_text(token)
        made = PARTY.sdk(by.view, bound[client], paths)
        ran = subprocess.run(
            [sys.executable, "-c", SDK], capture_output=True, text=True, timeout=120, check=False,
            env={
                "PATH": os.environ["PATH"], "HOME": paths.files, "HTTPS_PROXY": proxy.url,
                "REQUESTS_CA_BUNDLE": str(entra.ca), **made.environment,
            },
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    published = Published({DISCOVERY: read(DISCOVERY) | {"jwks_uri": issuer.url + KEYS}, KEYS: read(KEYS)})
    with served(published, tmp_path / "issuer") as (site, ca), party("entra", tenant=TENANT) as entra:
        proxy = Proxy(frozenset(entra.hosts), entra.port)
        proxy.start()
        try:
            entra.resolve(issuer.url, f"https://127.0.0.1:{site.port}", ca)
            entra.directory.apply(PARTY.render(PARTY.access(by.view, list(bound.values()), issuer), "native"))
            mine, strangers = (control_plane.token(namespace, name, [by.audience]) for name in ("reader", "stranger"))
            for client in (READER, APP):
                assert entra.holder(sdk(client, mine)) == (client, "https://storage.azure.com/.default")
            assert "AADSTS700213" in sdk(READER, strangers)
            assert "AADSTS700212" in sdk(READER, control_plane.token(namespace, "reader", ["https://other.example"]))
        finally:
            proxy.close()
