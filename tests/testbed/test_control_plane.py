"""The control plane of the testbed is a real one, is one's own, and can be killed and brought back."""

from __future__ import annotations

import http.client
import json
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest

from apostille_testbed import APIError, ControlPlane, InstanceInUse, KubectlError, ProcessError
from apostille_testbed import control_plane as start

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def own() -> Any:
    """One that a test may stop: the shared one must stay as it is."""
    with start() as running:
        yield running


def anonymous(plane: ControlPlane, path: str) -> Any:
    """What a relying party reads: no credentials, the authority's certificate only."""
    port = int(plane.url.rpartition(":")[2])
    context = ssl.create_default_context(cafile=str(plane.ca))
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        assert response.status == 200
        return json.loads(response.read())
    finally:
        connection.close()


def verified(plane: ControlPlane, token: str, audience: str) -> dict[str, Any]:
    """The claims of a token, judged as a relying party does, from the documents that the instance serves."""
    keys = jwt.PyJWKSet.from_dict(anonymous(plane, "/openid/v1/jwks"))
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"], audience=audience, issuer=plane.issuer)
    return claims


def test_tokens_are_of_its_own_issuer_and_verify_by_its_documents(control_plane: ControlPlane, namespace: str) -> None:
    document = anonymous(control_plane, "/.well-known/openid-configuration")
    token = control_plane.token(namespace, "default", ["https://party.example"], seconds=900)

    claims = verified(control_plane, token, "https://party.example")

    assert control_plane.issuer == f"https://{control_plane.id}.issuer.example"
    assert document["issuer"] == control_plane.issuer
    assert document["jwks_uri"] == f"{control_plane.url}/openid/v1/jwks"
    assert claims["sub"] == f"system:serviceaccount:{namespace}:default"


def test_it_is_the_pinned_version_and_has_no_nodes(control_plane: ControlPlane) -> None:
    version = json.loads(control_plane.kubectl("version", "-o", "json").stdout)

    assert version["serverVersion"]["gitVersion"] == "v1.37.2"
    assert control_plane.kubectl("get", "nodes", "-o", "name").stdout == ""


@pytest.mark.parametrize("where", ["default", "fresh"])
def test_a_namespace_takes_pods_at_once(control_plane: ControlPlane, namespace: str, where: str) -> None:
    if where == "fresh":
        where = namespace

    control_plane.kubectl("run", "-n", where, f"pod-{namespace}", "--image=any")

    roots = control_plane.kubectl("get", "-n", where, "cm", "kube-root-ca.crt", "-o", r"jsonpath={.data.ca\.crt}")
    assert roots.stdout == control_plane.ca.read_text()


def test_a_kubeconfig_for_anybody(control_plane: ControlPlane, namespace: str) -> None:
    node = control_plane.kubeconfig_for("system:node:n1", ["system:nodes"])
    account = control_plane.service_account_kubeconfig(namespace, "default")

    seen = [
        json.loads(control_plane.kubectl("--kubeconfig", path, "auth", "whoami", "-o", "json").stdout)
        for path in (node, account)
    ]

    users = [answer["status"]["userInfo"] for answer in seen]
    assert users[0]["username"] == "system:node:n1"
    assert "system:nodes" in users[0]["groups"]
    assert users[1]["username"] == f"system:serviceaccount:{namespace}:default"
    assert [path.stat().st_mode & 0o077 for path in (node, account, control_plane.kubeconfig)] == [0, 0, 0]


def test_kubectl_failures_say_what_was_run_and_why(control_plane: ControlPlane) -> None:
    with pytest.raises(KubectlError, match=r'kubectl get cm nothing: exit code 1\n.*configmaps "nothing" not found'):
        control_plane.kubectl("get", "cm", "nothing")

    assert control_plane.kubectl("get", "cm", "nothing", check=False).returncode == 1


def test_kubectl_takes_standard_input(control_plane: ControlPlane, namespace: str) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "given", "namespace": namespace}}

    control_plane.kubectl("apply", "-f", "-", input=json.dumps(manifest))

    assert control_plane.client.request("GET", f"/api/v1/namespaces/{namespace}/configmaps/given")


def test_what_the_server_refuses_carries_its_reason(control_plane: ControlPlane, namespace: str) -> None:
    with pytest.raises(APIError) as refused:
        control_plane.create_namespace(namespace)

    assert (refused.value.status, refused.value.reason) == (409, "AlreadyExists")


@pytest.mark.e2e
def test_two_started_together_share_nothing() -> None:
    with ThreadPoolExecutor(2) as pool:
        planes = list(pool.map(lambda _: start(), range(2)))
    # The threads are gone: what they started must not be.
    try:
        planes[0].create_namespace("only-here")
        shown = planes[1].kubectl("get", "namespaces", "-o", "name").stdout
        token = planes[0].token("default", "default", ["a"])

        assert "only-here" not in shown
        assert len({plane.url for plane in planes}) == len({plane.directory for plane in planes}) == 2
        with pytest.raises(KeyError):
            verified(planes[1], token, "a")
    finally:
        for plane in planes:
            plane.stop()
    assert not any(plane.directory.exists() for plane in planes)


def test_a_restarted_api_server_keeps_address_data_and_keys(own: ControlPlane) -> None:
    own.create_namespace("kept")
    token = own.token("kept", "default", ["a"])
    own.stop_apiserver(grace=0)
    with pytest.raises(ConnectionRefusedError):
        own.client.request("GET", "/readyz")

    own.start_apiserver()

    assert own.client.request("GET", "/api/v1/namespaces/kept")["metadata"]["name"] == "kept"
    assert verified(own, token, "a")["sub"] == "system:serviceaccount:kept:default"


def test_a_rotated_key_signs_and_the_old_one_is_published_still(own: ControlPlane) -> None:
    old = own.token("default", "default", ["a"])

    own.rotate_service_account_key(grace=0)

    new = own.token("default", "default", ["a"])
    identifiers = [jwt.get_unverified_header(token)["kid"] for token in (old, new)]
    assert identifiers[0] != identifiers[1]
    assert [verified(own, token, "a")["iss"] for token in (old, new)] == [own.issuer] * 2


def test_an_id_is_used_once_at_a_time(own: ControlPlane) -> None:
    with pytest.raises(InstanceInUse, match=f"{own.id} runs already"):
        start(id=own.id)


@pytest.mark.parametrize("wrong", ["Upper", "under_score", "-x", "x" * 41, "../x"])
def test_an_id_is_a_dns_label(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not a DNS label"):
        start(id=wrong)


def test_a_server_that_refuses_its_flags_is_reported_with_its_words() -> None:
    directories: list[Path] = []
    with pytest.raises(ProcessError, match=r"(?s)apiserver ended with 1:.*unknown flag: --no-such-flag"):
        directories.append(start(apiserver_args=["--no-such-flag"]).directory)


def test_the_controller_manager_acts(control_plane_kcm: ControlPlane) -> None:
    control_plane_kcm.create_namespace("busy")

    control_plane_kcm.kubectl("create", "job", "work", "-n", "busy", "--image=any")
    control_plane_kcm.kubectl("wait", "-n", "busy", "job/work", "--for=jsonpath={.status.active}=1", "--timeout=30s")

    assert control_plane_kcm.kubectl("get", "-n", "busy", "pods", "-o", "name").stdout.startswith("pod/work-")
