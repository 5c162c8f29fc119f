"""An example of ours, whole: declared, rendered, applied to a server, used by its pod."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from apostille_testbed.pods import PodRunner
from integration.cluster import Cluster
from integration.plain_client import until
from testbed.pod_runner_scene import Scene

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class World:
    cluster: Cluster
    scene: Scene
    runner: PodRunner
    server: Any

    @property
    def ns(self) -> str:
        return self.scene.namespace

    def apply(self, *documents: dict[str, Any], **options: Any) -> Any:
        text = yaml.safe_dump_all(json.loads(json.dumps(documents)))
        return self.cluster.kubectl("apply", "-f", "-", input=text, **options)

    def access(self, trust: str) -> dict[str, str]:
        """The documents that the controller rendered."""
        got = self.cluster.kubectl(
            "get", "configmap", f"apostille-access-{trust}", "-n", "apostille-system", "-o", "json"
        )
        files: dict[str, str] = json.loads(got.stdout)["data"]
        return files

    def execute(self, pod: str, *argv: str) -> str:
        return self.runner.execute(self.ns, pod, "app", argv).stdout


@dataclass(frozen=True)
class Declared:
    """An example of ours under names of its own."""

    trust: dict[str, Any]
    binding: dict[str, Any]
    pod: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.trust["metadata"]["name"])


def declared(which: str, world: World, address: str) -> Declared:
    trust, binding, pod = (yaml.safe_load((EXAMPLES / which / file).read_text())
                           for file in ("10-trust.yaml", "20-binding.yaml", "30-pod.yaml"))  # fmt: skip
    trust["metadata"]["name"] = binding["spec"]["trustRef"]["name"] = f"{which}-{secrets.token_hex(3)}"
    trust["spec"]["relyingParty"][which][address] = f"https://{which}.example"
    trust["spec"]["relyingParty"][which]["caBundle"] = world.server.ca.read_text()
    trust["spec"]["allow"][0]["namespace"] = world.ns
    for document in (binding, pod):
        document["metadata"]["namespace"] = world.ns
    return Declared(trust, binding, pod)


def put_in_force(world: World, made: Declared, apply: Callable[[dict[str, str]], None]) -> None:
    """Trust and binding, as two teams apply them; then what was rendered, as the third one does."""
    world.apply(made.trust, made.binding)
    for what in (f"ftrust/{made.name}", f"wbind/{made.binding['metadata']['name']}"):
        world.cluster.kubectl("wait", "--for=condition=Ready", "--timeout=60s", what, "-n", world.ns)
    subject = f"system:serviceaccount:{world.ns}:reader"
    until(lambda: subject in json.dumps(world.access(made.name)), "the binding is in the rendered documents", 0.1)
    apply(world.access(made.name))


def run(world: World, made: Declared) -> str:
    """The example's pod, to its end; returns what it printed."""
    world.apply(made.pod)
    done = world.runner.wait(
        world.ns, "app", lambda pod: (pod or {}).get("status", {}).get("phase") in ("Succeeded", "Failed")
    )
    log = world.runner.logs(world.ns, "app", "app")
    assert done is not None
    assert done["status"]["phase"] == "Succeeded", log
    return log
