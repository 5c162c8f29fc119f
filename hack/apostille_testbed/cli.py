"""The command line of the testbed."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import Any

from apostille_testbed import binaries, chart, instances, pinned, processes
from apostille_testbed.control_plane import ControlPlane, environment, launch
from apostille_testbed.golang import BuildError
from apostille_testbed.installation import Installation
from apostille_testbed.node import lane as node_lane
from apostille_testbed.parties import programs
from apostille_testbed.progress import Console

_DEFAULT = "testbed"
_START_SECONDS = 180
_STOP_SECONDS = 10
_IN_USE = 3
_LOG = "up.log"

_DESCRIPTION = f"""\
A real Kubernetes {pinned.KUBERNETES} control plane on this machine: etcd and kube-apiserver, on request
kube-controller-manager. No container, no root, nothing outside the cache folder.

With --node also a real node that runs pods: kubelet, kube-proxy, containerd. That needs root, once a few Debian
packages, and a cgroup; all else it does lies in namespaces that go with it. One node runs on a machine at a time."""

_EXAMPLES = """\
examples:
  hack/testbed up                              start one and leave it running
  eval "$(hack/testbed env)"; kubectl get ns   use it
  hack/testbed up --apostille                  the same with Apostille running in it
  hack/testbed up other --controller-manager   a second one beside it
  hack/testbed up --node                       one whose pods really run
  hack/testbed image                           build Apostille's images for it
  hack/testbed status                          what runs, and whether it answers
  hack/testbed down                            stop it and remove all of it

environment:
  KUBEBUILDER_ASSETS   a folder with kube-apiserver and kube-controller-manager; used when they are exactly of
                       the version above, like those on PATH; otherwise they are built once, from pinned sources
  APOSTILLE_CACHE      where builds and running instances are kept (default: ~/.cache/apostille)"""


class _Refused(Exception):
    """The message for the user; exit code 1."""


def main(arguments: Sequence[str]) -> int:
    """Runs one command; returns its exit code: 0 done, 1 failed with a message, 2 wrong usage, 3 the id is in use."""
    options = _parser().parse_args(arguments)
    say = Console()
    try:
        options.command(options, say)
    except instances.InstanceInUse as error:
        say(f"testbed: {error}")
        return _IN_USE
    except (
        _Refused, BuildError, chart.HelmError, node_lane.NodeUnavailable, processes.ProcessError, ValueError, OSError,
    ) as error:  # fmt: skip
        say(f"testbed: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("hack/testbed", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=raw)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="have the programs ready; builds what is missing (minutes, once)")
    build.add_argument("programs", nargs="*", metavar="PROGRAM", help=f"default: {' '.join(pinned.CONTROL_PLANE)}")
    build.add_argument("--node", action="store_true", help="also what a node needs: programs, packages, images")
    build.set_defaults(command=_build)

    image = commands.add_parser("image", help="build Apostille's images, and load them where a node runs")
    image.set_defaults(command=_image)

    manifest = commands.add_parser("manifest", help="write hack/manifests and install from the chart")
    manifest.set_defaults(command=_manifest)

    schemas = commands.add_parser("schemas", help="write the schemas kept with the tests: what others take")
    schemas.add_argument(
        "of", nargs="*", choices=["api", "terraform", "vendors", []], metavar="OF",
        help="api: API servers of other versions, tests/chart/schemas; terraform and vendors: Terraform providers, "
        "vendors' APIs and commands, tests/parties/schemas; default: all",
    )  # fmt: skip
    schemas.set_defaults(command=_schemas)

    up = commands.add_parser("up", help="start a control plane in the background; does nothing when it runs")
    up.add_argument("id", nargs="?", default=_DEFAULT, help="its name, a DNS label (default: %(default)s)")
    up.add_argument("--controller-manager", action="store_true", help="run kube-controller-manager too")
    up.add_argument("--apostille", action="store_true", help="install Apostille in it and run its two processes")
    up.add_argument("--node", action="store_true", help="run a real node too, and kube-controller-manager")
    up.add_argument("--apiserver-arg", action="append", default=[], metavar="FLAG", help="a flag of kube-apiserver")
    up.add_argument("--foreground", action="store_true", help="stay, and stop it on Ctrl-C")
    up.add_argument("--log", help=argparse.SUPPRESS)  # what it writes once it runs, in the instance's directory
    up.set_defaults(command=_up)

    down = commands.add_parser("down", help="stop a control plane and remove everything of it")
    down.add_argument("ids", nargs="*", metavar="ID", help=f"default: {_DEFAULT}")
    down.add_argument("--all", action="store_true", help="all that `up` started, and what killed runs left")
    down.set_defaults(command=_down)

    status = commands.add_parser("status", help="show what runs and whether it answers")
    status.add_argument("-o", "--output", choices=["table", "json"], default="table")
    status.set_defaults(command=_status)

    env = commands.add_parser("env", help="print shell lines that set KUBECONFIG and addresses")
    env.add_argument("id", nargs="?", default=_DEFAULT)
    env.set_defaults(command=_env)
    return parser


def _build(options: argparse.Namespace, say: Console) -> None:
    known = dict.fromkeys(pinned.PROGRAMS, binaries.kubernetes) | {"helm": lambda _, say: binaries.helm(say)}
    known |= dict.fromkeys(programs.NAMES, programs.program)
    default = (*pinned.PROGRAMS, "helm") if options.node else pinned.CONTROL_PLANE
    if options.node:
        node_lane.prepare(say)
    for name in options.programs or default:
        if name not in known:
            raise _Refused(f"there is no program {name}; there are {', '.join(known)}")
        say(f"{name}: {known[name](name, say)}")


def _image(options: argparse.Namespace, say: Console) -> None:
    from apostille_testbed.node import images

    built = images.images(say)
    loaded = [state for state in instances.live().values() if state.get("node")]
    for archive in (built.apostille, built.exchange):
        say(f"{archive}")
        for state in loaded:
            say(f"{node_lane.load(state, archive)} is in {state['id']}")


def _manifest(options: argparse.Namespace, say: Console) -> None:
    binaries.helm(say)
    for file, text in ((chart.MANIFEST, chart.manifest()), (chart.INSTALL, chart.install())):
        file.write_text(text)
        say(f"wrote {file}")


def _schemas(options: argparse.Namespace, say: Console) -> None:
    from apostille_testbed import api_schemas, terraform_schemas, vendor_schemas

    known = {"api": api_schemas, "terraform": terraform_schemas, "vendors": vendor_schemas}
    for name in options.of or known:
        known[name].write(say)
        say(f"wrote {known[name].FOLDER}")


def _up(options: argparse.Namespace, say: Console) -> None:
    instances.check(options.id)
    if options.node:
        node_lane.prepare(say)
    for name in pinned.CONTROL_PLANE if options.controller_manager else pinned.CONTROL_PLANE[:1]:
        binaries.kubernetes(name, say)
    for left in instances.sweep():
        say(f"cleared {left}, which a killed run left")
    if options.foreground:
        _serve(options, say)
        return
    state = None if options.id in instances.live() else _start_detached(options, say)
    if state is None:
        state = _published(options.id, options.apostille)
        for wanted, has, what in (
            (options.node, state.get("node"), "a node"),
            (options.controller_manager, state["controller_manager"], "a controller manager"),
            (options.apostille, state.get("apostille"), "Apostille"),
        ):
            if wanted and not has:
                raise _Refused(f"{options.id} runs without {what}; stop it first: hack/testbed down {options.id}")
        say(f"{options.id} runs already")
    say(f"{options.id} is up at {state['url']}, issuer {state['issuer']}")
    name = "" if options.id == _DEFAULT else f" {options.id}"
    say(f'use it: eval "$(hack/testbed env{name})"   stop it: hack/testbed down{name}')


def _start_detached(options: argparse.Namespace, say: Console) -> dict[str, Any] | None:
    """What the new instance has published; None: another `up` was faster."""
    say(f"{options.id}: starting, usually {'5–20' if options.apostille else '2–8'} s")
    instances.folder().mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "apostille_testbed", "up", options.id, "--foreground", f"--log={_LOG}"]
    command += ["--controller-manager"] if options.controller_manager else []
    command += ["--apostille"] if options.apostille else []
    if options.node:
        command += ["--node"]
        if holder := node_lane.busy():
            say(f"another node runs on this machine (process {holder}), waiting for its end")
    command += [f"--apiserver-arg={flag}" for flag in options.apiserver_arg]
    with tempfile.TemporaryFile() as output:  # until it has a directory
        guardian = subprocess.Popen(
            command,
            cwd=instances.folder(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        while guardian.poll() is None:
            state = instances.live().get(options.id)
            if state and _complete(state, options.apostille) and state["owner"]["pid"] == guardian.pid:
                guardian.returncode = 0  # it outlives us on purpose
                return state
            time.sleep(0.05)
        if guardian.returncode == _IN_USE:
            return None
        output.seek(0)
        raise _Refused(f"{options.id} did not start:\n{output.read().decode(errors='replace').strip()}")


def _complete(state: dict[str, Any], apostille: bool) -> bool:
    # Whether Apostille runs is published when that is decided: after the control plane.
    return "url" in state and (not apostille or "apostille" in state)


def _published(identity: str, apostille: bool) -> dict[str, Any]:
    # Another `up` may be starting it at this moment.
    give_up = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up:
        state = instances.live().get(identity)
        if state is None:
            break
        if _complete(state, apostille):
            return state
        time.sleep(0.05)
    raise _Refused(f"{identity} did not start")


def _serve(options: argparse.Namespace, say: Console) -> None:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    instance = instances.claim(options.id, detached=True)
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(_launch(options, instance))
        if options.apostille:
            stack.enter_context(Installation(running))
        instance.publish(**running.describe(), apostille=options.apostille)
        say(f"{running.id} is up at {running.url}, issuer {running.issuer}; kubeconfig {running.kubeconfig}")
        if options.log:
            with (running.directory / options.log).open("ab") as log:
                for stream in (1, 2):
                    os.dup2(log.fileno(), stream)
        ended.wait()


def _launch(options: argparse.Namespace, instance: instances.Instance) -> ControlPlane:
    if not options.node:
        return launch(instance, controller_manager=options.controller_manager, apiserver_args=options.apiserver_arg)
    return node_lane.launch(instance, apiserver_args=options.apiserver_arg)


def _down(options: argparse.Namespace, say: Console) -> None:
    live = instances.live()
    for left in instances.sweep():
        say(f"cleared {left}, which a killed run left")
    detached = [identity for identity, state in live.items() if state["owner"]["detached"]]
    for identity in detached if options.all else options.ids or [_DEFAULT]:
        if identity not in live:
            say(f"{identity} does not run")
        elif identity not in detached:
            raise _Refused(f"{identity} belongs to process {live[identity]['owner']['pid']} and ends with it")
        else:
            _stop(identity, live[identity]["owner"])
            say(f"{identity} is down")
    node_lane.clear()


def _stop(identity: str, owner: dict[str, Any]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if processes.started(owner["pid"]) == owner["started"]:
            os.kill(owner["pid"], number)
        give_up = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < give_up:
            instances.sweep()
            if identity not in instances.live():
                return
            time.sleep(0.05)
    raise _Refused(f"{identity} does not stop; its process is {owner['pid']}")


def _status(options: argparse.Namespace, say: Console) -> None:
    from apostille_testbed.client import Client

    rows = []
    for identity, state in instances.live().items():
        row = {**state, "state": "Starting"}
        if "url" in state:
            address, _, port = state["url"].removeprefix("https://").rpartition(":")
            row["state"] = "Ready" if Client(int(port), state["ca"], address=address).ready() else "NotReady"
            row["processes"] = {name: {"pid": pid, "running": processes.started(pid) is not None}
                                for name, pid in state["processes"].items()}  # fmt: skip
        rows.append((identity, row))
    if options.output == "json":
        print(json.dumps([row for _, row in rows], indent=2))
        return
    if not rows:
        say("nothing runs; start one: hack/testbed up")
        return
    print(f"{'ID':20} {'STATE':9} {'URL':24} {'ISSUER':40} OWNER")
    for identity, row in rows:
        owner = "up" if row["owner"]["detached"] else f"process {row['owner']['pid']}"
        print(f"{identity:20} {row['state']:9} {row.get('url', '-'):24} {row.get('issuer', '-'):40} {owner}")


def _env(options: argparse.Namespace, say: Console) -> None:
    state = instances.live().get(options.id)
    if state is None or "url" not in state:
        raise _Refused(f"{options.id} does not run; start it: hack/testbed up {options.id}")
    for name, value in environment(state).items():
        print(f"export {name}={shlex.quote(value)}")
    # So that a plain `kubectl` is the one that fits.
    print(f"export PATH={shlex.quote(str(binaries.kubectl().parent))}:$PATH")
