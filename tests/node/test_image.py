"""The images run where Pod Security is `restricted`, as a number, on a read-only root, with nothing in excess."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from apostille_testbed import Node
from apostille_testbed.chart import Release
from apostille_testbed.node.images import APOSTILLE, EXCHANGE
from node.scene import RESTRICTED, apply, forget_namespaces, output, pod

NAMESPACE = "restricted"


_FOLDERS = """
import importlib.util, json, os
names = ("aiohttp", "kubernetes", "msgspec", "cryptography", "yaml", "apostille")
found = [name for name in names if importlib.util.find_spec(name)]
print(json.dumps([sorted(os.listdir("/opt")), sorted(os.listdir("/opt/apostille-exchange/lib")), found]))
"""
_INSTALLED = (
    "import importlib.util, pathlib, apostille.controller.run as run; "
    "print(importlib.util.find_spec('pip'), pathlib.Path(run.__cached__).exists())"
)
# One stream, or the log may show what is refused ahead of what is said.
_WRITES = "exec 2>&1; id -u; touch /opt/x /usr/x /home/x; python3 -c 'import this' | tail -1"

PODS: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "version": (APOSTILLE, (), ("--version",)),
    "help": (EXCHANGE, (), ("--help",)),
    "probe": (EXCHANGE, ("sh", "-c", "apostille-exchange ready /nowhere; echo $?"), ()),
    "writes-apostille": (APOSTILLE, ("sh", "-c", _WRITES), ()),
    "writes-exchange": (EXCHANGE, ("sh", "-c", _WRITES), ()),
    "content": (EXCHANGE, ("python3", "-c", _FOLDERS), ()),
    "pip": (APOSTILLE, ("/opt/apostille/bin/python", "-c", _INSTALLED), ()),
}
"""Name to image, command and arguments."""


@pytest.fixture(scope="module", autouse=True)
def begun(node: Node) -> Iterator[None]:
    """All pods, in a namespace that is strict, with all restrictions: together they take little longer than one."""
    Release(node).load()
    node.create_namespace(NAMESPACE, {"pod-security.kubernetes.io/enforce": "restricted"})
    apply(node, *(strict(name, *wanted) for name, wanted in PODS.items()))
    yield
    forget_namespaces(node, NAMESPACE)


def strict(name: str, image: str, command: tuple[str, ...], arguments: tuple[str, ...]) -> dict[str, Any]:
    wanted = pod(name, NAMESPACE, *command, image=image)
    wanted["spec"]["containers"][0] |= {"securityContext": RESTRICTED, "args": list(arguments)}
    return wanted


def test_apostille_starts_without_a_command(node: Node) -> None:
    assert output(node, "version", NAMESPACE).startswith("apostille 0.")


def test_the_sidecar_starts_without_a_command(node: Node) -> None:
    assert "usage: apostille-exchange run" in output(node, "help", NAMESPACE)


def test_the_sidecars_program_is_found_by_its_name_as_probes_call_it(node: Node) -> None:
    assert output(node, "probe", NAMESPACE).endswith("1\n")


@pytest.mark.parametrize("image", ["apostille", "exchange"])
def test_it_runs_as_a_number_and_writes_nothing(node: Node, image: str) -> None:
    said = output(node, f"writes-{image}", NAMESPACE)

    assert said.splitlines()[0] == "65532"
    assert said.count("Read-only file system") == 3


def test_the_sidecars_image_has_python_and_one_folder(node: Node) -> None:
    assert json.loads(output(node, "content", NAMESPACE)) == [["apostille-exchange"], ["apostille_exchange"], []]


def test_what_runs_cannot_install_anything_and_needs_no_compiling(node: Node) -> None:
    assert output(node, "pip", NAMESPACE) == "None True\n"
