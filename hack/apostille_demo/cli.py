"""The command line of the demo."""

from __future__ import annotations

import argparse
import http.client
import os
import shlex
import ssl
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from apostille_demo import background, guardian, logs, real_story, real_world, story
from apostille_demo.background import Guardian, NotStarted, NotStopped, State
from apostille_demo.node import Containers
from apostille_demo.page import Page
from apostille_demo.shell import Shell, StepFailed
from apostille_demo.world import world
from apostille_testbed import binaries, instances
from apostille_testbed.golang import BuildError
from apostille_testbed.node import NodeUnavailable
from apostille_testbed.progress import Console

ROOT = Path(__file__).parents[2]
MINUTES = 30.0
_DEFAULT, _NODE = "demo", "demo-node"
_INHERITED = ("APOSTILLE_CACHE", "APOSTILLE_PYTHON", "XDG_CACHE_HOME")  # by which hack/python finds its environment

_DESCRIPTION = """\
Apostille's main job on a real Kubernetes API server on this machine: from two YAML files to a running
workload with a credential of a strict AWS, and back. Needs no container runtime, no root, no cloud account.

With --node everything is real: a node whose kubelet runs the pods, Helm, Vault and MinIO. Needs root."""

_EXAMPLES = """\
examples:
  hack/demo up                   tell it, and leave it running for half an hour
  eval "$(hack/demo env)"        use it: kubectl get ftrust,wbind -A
  hack/demo log controller       what a process wrote: aws, controller, admission, node, apiserver, etcd
  hack/demo down                 stop it and remove all of it
  hack/demo up --node            the same on a real node; --node goes with the other commands too"""


class _Refused(Exception):
    """The message for the user; exit code 1."""


def main(arguments: Sequence[str]) -> int:
    """Runs one command; returns its exit code: 0 done, 1 failed with a message, 2 wrong usage, 130 interrupted."""
    options = _parser().parse_args(arguments)
    options.id = options.id or (_NODE if options.node else _DEFAULT)
    try:
        code: int = options.command(options)
    except (_Refused, BuildError, NodeUnavailable, NotStopped, ValueError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("hack/demo", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=raw)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, text: str | None) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text) if text else commands.add_parser(name)
        made.add_argument("--id", help=f"which one, where several run (default: {_DEFAULT}; with --node {_NODE})")
        made.add_argument("--node", action="store_true", help="the demo on a real node")
        return made

    up = command("up", "run the demo; it stays up for trying things")
    up.add_argument("--minutes", type=float, default=MINUTES, help="how long it then stays (default: %(default)g)")
    up.add_argument(
        "--no-isolation", action="store_true", help="run pods without namespaces even where they can be had"
    )
    up.set_defaults(command=_up)
    command("down", "stop it and remove everything").set_defaults(command=_down)
    command("env", "print shell lines that set KUBECONFIG and PATH").set_defaults(command=_env)
    command("metrics", "print the metrics of Apostille's admission server").set_defaults(command=_metrics)
    command("trusts", "with --node: print its trusts, with the authorities of its servers").set_defaults(
        command=_trusts
    )
    log = command("log", "print what a process wrote")
    log.add_argument("name", choices=list(logs.LOGS))
    log.set_defaults(command=_log)
    guard = commands.add_parser("guard", description="The process in the background; `up` starts it.")
    guard.add_argument("id")
    guard.add_argument("--minutes", type=float, default=MINUTES)
    guard.add_argument("--no-isolation", action="store_true")
    guard.add_argument("--node", action="store_true")
    guard.set_defaults(command=_guard)
    return parser


def _guard(options: argparse.Namespace) -> int:
    of = real_world.world if options.node else partial(world, isolation=not options.no_isolation)
    return guardian.guard(options.id, options.minutes, of)


def _argument(identity: str) -> str:
    return {_DEFAULT: "", _NODE: " --node"}.get(identity, f" --id {identity}")


def _up(options: argparse.Namespace) -> int:
    page, began = Page(), time.monotonic()
    identity = instances.check(options.id)
    if (other := background.find(identity)) is not None:
        return _is_up(page, identity, other)
    page.heading("Starting a cluster on this machine")
    if options.node:
        real_world.prepare(Console())
    else:
        binaries.kubernetes("kube-apiserver", Console())
    for left in instances.sweep():
        page.progress(f"cleared {left}, which a killed run left")
    logs.forget(identity)
    try:
        chosen = ["--node"] * options.node + ["--no-isolation"] * options.no_isolation
        with Guardian(identity, options.minutes, *chosen) as running:
            scene = _tell(page, identity, running, began)
            if scene is None:
                return 1
            running.stay()
    except KeyboardInterrupt:
        page.line("\nstopped and removed everything")
        raise
    (real_story if options.node else story).afterwards(scene, options.minutes, time.monotonic() - began)
    return 0


def _tell(page: Page, identity: str, running: Guardian, began: float) -> story.Scene | None:
    """None: it failed, and has been explained."""
    try:
        state = running.wait(page.progress)
    except NotStarted as failed:
        _not_started(page, failed, logs.kept(identity))
        return None
    page.progress(f"everything runs after {time.monotonic() - began:.0f} s")
    scene = _scene(page, identity, state)
    try:
        story.tell(scene, real_story.STEPS if "authorities" in state else story.STEPS)
    except StepFailed as failed:
        _explain(page, failed, logs.keep(identity, Path(state["directory"])))
        return None
    return scene


def _is_up(page: Page, identity: str, state: State) -> int:
    if "until" not in state.get("demo", {}):
        owner = state["owner"]["pid"]
        raise _Refused(f"{identity} is being told just now, or is a control plane of somebody else (process {owner})")
    minutes = max(0.0, state["demo"]["until"] - time.time()) / 60
    argument = _argument(identity)
    page.line(f"The demo is up already, for another {minutes:.0f} minutes.")
    page.line(f'  use it:        eval "$(hack/demo env{argument})"; kubectl get ftrust,wbind -A')
    page.line(f"  see it again:  hack/demo down{argument}; hack/demo up{argument}")
    return 0


def _not_started(page: Page, failed: NotStarted, kept: Path) -> None:
    page.failure("\nFailed while starting.")
    page.whole(str(failed).splitlines())
    if kept.exists():
        page.line(f"  logs:      {kept} (until the next run)")


def _explain(page: Page, failed: StepFailed, kept: Path) -> None:
    page.failure(f"\nFailed at step {''.join(failed.__notes__)}")
    page.line(f"  ran:       {failed.ran}")
    page.line(f"  expected:  {failed.expected}")
    page.line("  saw:")
    page.whole(failed.saw.splitlines()[-40:])
    page.line(f"  logs:      {kept} (until the next run); everything else is stopped and removed")


def _scene(page: Page, identity: str, state: State) -> story.Scene:
    environment = {
        "KUBECONFIG": state["kubeconfig"],
        "PATH": f"{_programs(state)}:{os.environ.get('PATH', os.defpath)}",
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        **{name: os.environ[name] for name in _INHERITED if name in os.environ},
    }
    shell = Shell(page, ROOT, environment)
    containers = Containers(state.get("containers", Containers.ISOLATED))
    return story.Scene(page, shell, ROOT, _argument(identity), containers, state.get("isolation", ""))


def _programs(state: State) -> str:
    """Folders for PATH."""
    return (
        f"{binaries.kubectl().parent}:{binaries.helm().parent}"
        if "authorities" in state
        else str(binaries.kubectl().parent)
    )


def _down(options: argparse.Namespace) -> int:
    page, identity = Page(), instances.check(options.id)
    swept = instances.sweep()
    logs.forget(identity)
    state = background.find(identity)
    if state is None:
        logs.guardian_log(identity).unlink(missing_ok=True)
        page.line(f"cleared what a killed {identity} left" if identity in swept else f"{identity} does not run")
        return 0
    owner = state["owner"]
    if not owner["detached"]:
        raise _Refused(f"{identity} belongs to process {owner['pid']} and ends with it")
    if "authorities" in state:
        try:
            real_story.leave(_scene(page, identity, state))
        except StepFailed as failed:
            page.failure(f"{failed}\n{failed.saw}")
    background.stop(identity, owner["pid"], owner["started"])
    page.line(f"{identity} is down, and everything of it is removed")
    return 0


def _running(identity: str) -> State:
    state = background.find(identity)
    if state is None or "demo" not in state:
        raise _Refused(f"{identity} does not run; start it: hack/demo up{_argument(identity)}")
    return state


def _env(options: argparse.Namespace) -> int:
    state = _running(options.id)
    print(f"export KUBECONFIG={shlex.quote(state['kubeconfig'])}")
    print(f"export PATH={shlex.quote(_programs(state))}:$PATH")
    return 0


def _metrics(options: argparse.Namespace) -> int:
    state = _running(options.id)
    if "admission" not in state:
        raise _Refused("the admission server of this demo is a pod; its metrics are at its port https")
    place = urlsplit(state["admission"])
    context = ssl.create_default_context(cafile=state["ca"])
    assert place.hostname is not None
    connection = http.client.HTTPSConnection(place.hostname, place.port, context=context, timeout=10)
    try:
        connection.request("GET", "/metrics")
        sys.stdout.write(connection.getresponse().read().decode())
    finally:
        connection.close()
    return 0


def _trusts(options: argparse.Namespace) -> int:
    state = _running(options.id)
    if "authorities" not in state:
        raise _Refused("these are trusts of the demo on a real node; add --node")
    documents = (ROOT / real_story.FILES / "10-trusts.yaml").read_text()
    sys.stdout.write(real_world.with_authorities(documents, state["authorities"]))
    return 0


def _log(options: argparse.Namespace) -> int:
    path = Path(_running(options.id)["directory"]) / logs.LOGS[options.name]
    if not path.exists():
        raise _Refused(f"{options.id} has no process of its own that is called {options.name}")
    sys.stdout.write(path.read_text(errors="replace"))
    return 0
