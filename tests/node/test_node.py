"""A node runs pods as clusters do, and keeps them in."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest

from apostille_testbed import Node
from apostille_testbed.chart import Release
from apostille_testbed.node import kubelet, network
from apostille_testbed.node.images import EXCHANGE
from node.scene import apply, output, pod, ready, remove_pods, until

CALLS = (
    "import json, os, ssl, urllib.request as u; f = '/var/run/secrets/kubernetes.io/serviceaccount/'; "
    "r = u.Request('https://%s:%s/api' % (os.environ['KUBERNETES_SERVICE_HOST'], "
    "os.environ['KUBERNETES_SERVICE_PORT']), headers={'Authorization': 'Bearer ' + open(f + 'token').read()}); "
    "print(json.load(u.urlopen(r, context=ssl.create_default_context(cafile=f + 'ca.crt')))['kind'])"
)


@pytest.fixture(scope="module", autouse=True)
def begun(node: Node) -> Iterator[None]:
    """The pods that need nothing of each other: together they take little longer than one."""
    Release(node).load()
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "greets", "namespace": "default"},
        "spec": {"template": {"spec": pod("", "", "sh", "-c", "echo hello")["spec"]}},
    }
    apply(
        node,
        job,
        pod("stays", "default", "sleep", "3600"),
        pod("survives", "default", "sleep", "3600"),
        pod("calls", "default", "python3", "-c", CALLS, image=EXCHANGE),
        # Nobody has this address (RFC 5737); what counts is that the node has no route to it.
        pod("leaves", "default", "sh", "-c", "wget -qO- http://198.51.100.1/ 2>&1; ip route"),
    )
    yield
    remove_pods(node, "default")


@pytest.fixture(scope="module")
def web(node: Node) -> str:
    """The ClusterIP of a service with one pod that says its name."""
    serve = "echo it-is-web > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    server = pod("web", "default", "sh", "-c", serve)
    server["metadata"]["labels"] = {"app": "web"}
    apply(node, service, server)
    ready(node, "web", "default")
    return node.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}").stdout


def test_pods_of_controllers_run_with_their_logs_and_exec(node: Node) -> None:
    node.kubectl("wait", "--for=condition=Complete", "job/greets", "--timeout=60s")
    ready(node, "stays", "default")

    assert node.kubectl("logs", "job/greets").stdout == "hello\n"
    assert node.kubectl("exec", "stays", "--", "cat", "/proc/1/cmdline").stdout == "sleep\x003600\x00"


def test_services_are_reached_from_pods_and_from_this_machine(node: Node, web: str) -> None:
    def served() -> bool:
        try:
            connection = http.client.HTTPConnection(web, timeout=5)
            connection.request("GET", "/")
            return connection.getresponse().read() == b"it-is-web\n"
        except OSError:
            return False

    until(served, "the service to answer this machine")
    apply(node, pod("asks", "default", "wget", "-qO-", f"http://{web}/"))

    assert output(node, "asks", "default") == "it-is-web\n"


def test_pods_find_the_api_server_with_their_token(node: Node) -> None:
    assert output(node, "calls", "default") == "APIVersions\n"


def test_pods_have_no_way_out_of_the_machine(node: Node) -> None:
    said = output(node, "leaves", "default")

    assert "unreachable" in said
    assert f"default via {network.POD_RANGE.removesuffix('0/24')}1" in said
    routes = node._space.run("ip", "route")
    assert "default" not in routes


def test_a_pod_outlives_a_restart_of_its_kubelet(node: Node) -> None:
    ready(node, "survives", "default")
    identity = "jsonpath={.status.containerStatuses[0].containerID}"
    before = node.kubectl("get", "pod", "survives", "-o", identity).stdout

    node.restart_kubelet()
    apply(node, pod("after", "default", "sleep", "3600"))
    ready(node, "after", "default")

    assert node.kubectl("get", "pod", "survives", "-o", identity).stdout == before
    assert node.kubectl("exec", "survives", "--", "true").returncode == 0
    assert node.name == kubelet.NAME
