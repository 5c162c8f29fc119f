"""The images run where Pod Security is `restricted`, as a number, on a read-only root, with nothing in excess."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from apostille_testbed import Node
from apostille_testbed.chart import Release
from apostille_testbed.node.images import APOSTILLE, EXCHANGE
from node.scene import RESTRICTED, apply, forget_namespaces, output, pod

NAMESPACE = "restricted"


@pytest.fixture(scope="module", autouse=True)
def images(node: Node) -> Iterator[None]:
    """They are there, and a namespace that is strict."""
    Release(node).load()
    node.create_namespace(NAMESPACE, {"pod-security.kubernetes.io/enforce": "restricted"})
    yield
    forget_namespaces(node, NAMESPACE)


def run(node: Node, name: str, image: str, *command: str, arguments: tuple[str, ...] = ()) -> str:
    """What a container of the image writes, with all restrictions."""
    wanted = pod(name, NAMESPACE, *command, image=image)
    wanted["spec"]["containers"][0] |= {"securityContext": RESTRICTED, "args": list(arguments)}
    apply(node, wanted)
    return output(node, name, NAMESPACE)


def test_apostille_starts_without_a_command(node: Node) -> None:
    assert run(node, "version", APOSTILLE, arguments=("--version",)).startswith("apostille 0.")


def test_the_sidecar_starts_without_a_command(node: Node) -> None:
    assert "usage: apostille-exchange run" in run(node, "help", EXCHANGE, arguments=("--help",))


def test_the_sidecars_program_is_found_by_its_name_as_probes_call_it(node: Node) -> None:
    said = run(node, "probe", EXCHANGE, "sh", "-c", "apostille-exchange ready /nowhere; echo $?")

    assert said.endswith("1\n")


@pytest.mark.parametrize("image", [APOSTILLE, EXCHANGE])
def test_it_runs_as_a_number_and_writes_nothing(node: Node, image: str) -> None:
    name = f"writes-{image.rpartition('/')[2].partition(':')[0]}"

    # One stream, or the log may show what is refused ahead of what is said.
    script = "exec 2>&1; id -u; touch /opt/x /usr/x /home/x; python3 -c 'import this' | tail -1"
    said = run(node, name, image, "sh", "-c", script)

    assert said.splitlines()[0] == "65532"
    assert said.count("Read-only file system") == 3


def test_the_sidecars_image_has_python_and_one_folder(node: Node) -> None:
    script = (
        "import json, os, sys; "
        "print(json.dumps([sorted(os.listdir('/opt')), sorted(os.listdir('/opt/apostille-exchange/lib')), "
        "[m for m in ('aiohttp', 'kubernetes', 'msgspec', 'cryptography', 'yaml', 'apostille') "
        "if __import__('importlib.util').util.find_spec(m)]]))"
    )

    assert json.loads(run(node, "content", EXCHANGE, "python3", "-c", script)) == [
        ["apostille-exchange"],
        ["apostille_exchange"],
        [],
    ]


def test_what_runs_cannot_install_anything_and_needs_no_compiling(node: Node) -> None:
    script = (
        "import importlib.util, pathlib, apostille.controller.run as run; "
        "print(importlib.util.find_spec('pip'), pathlib.Path(run.__cached__).exists())"
    )

    assert run(node, "pip", APOSTILLE, "/opt/apostille/bin/python", "-c", script) == "None True\n"
