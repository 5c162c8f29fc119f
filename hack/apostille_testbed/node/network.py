"""The network of the node: a cable from the machine into its space, and a bridge there for the pods.

Pods reach what listens on `MACHINE` and `PLACES`, such as the API server and relying parties, and nothing else of the
world: there is no way out and no address translation. The machine reaches pods and ClusterIPs.
"""

from __future__ import annotations

import ipaddress
import json
import subprocess
from pathlib import Path

from apostille_testbed.node.space import Space
from apostille_testbed.processes import ProcessError
from apostille_testbed.servers import SERVICE_RANGE

MACHINE = "10.240.0.1"
"""The machine as pods see it: listen here for them."""

NODE = "10.240.0.2"
"""The node's own address."""

POD_RANGE = "10.240.1.0/24"

_PLACES = "10.240.2.0/28"
PLACES = tuple(map(str, ipaddress.ip_network(_PLACES).hosts()))
"""More of the machine's, for relying parties that all have the same port."""

DEVICE = "apostille0"
"""The machine's end of the cable."""

_CABLE = f"{MACHINE}/30"
_INNER = "eth0"


def connect(space: Space) -> None:
    """Lays the cable and the machine's routes. They go with the space. Raises ProcessError."""
    _ip("link", "add", DEVICE, "type", "veth", "peer", "name", _INNER, "netns", str(space.pid))
    _ip("address", "add", _CABLE, "dev", DEVICE)
    for place in PLACES:
        _ip("address", "add", f"{place}/32", "dev", DEVICE)
    _ip("link", "set", DEVICE, "up")
    space.run(
        "sh",
        "-ec",
        f"""ip link set lo up
ip address add {NODE}/30 dev {_INNER}
ip link set {_INNER} up
ip route add {_PLACES} via {MACHINE}
echo 1 > /proc/sys/net/ipv4/ip_forward""",
    )
    for target in (POD_RANGE, SERVICE_RANGE):
        _ip("route", "add", target, "via", NODE, "dev", DEVICE)


def disconnect() -> None:
    """Removes the cable where a killed run's space is not gone yet."""
    if Path("/sys/class/net", DEVICE).exists():
        subprocess.run(["ip", "link", "delete", DEVICE], capture_output=True, check=False)


def taken() -> str | None:
    """Which of the machine's routes is in the way of ours; None: none."""
    ours = [ipaddress.ip_network(cidr, strict=False) for cidr in (_CABLE, POD_RANGE, _PLACES, SERVICE_RANGE)]
    for route in json.loads(_ip("-json", "route", "show", "table", "all")):
        if route["dst"] == "default" or route.get("dev") == DEVICE:
            continue
        try:
            there = ipaddress.ip_network(route["dst"], strict=False)
        except ValueError:
            continue
        if any(there.version == own.version and there.overlaps(own) for own in ours):
            return f"{route['dst']} dev {route.get('dev', '?')}"
    return None


def cni(directory: Path) -> str:
    """The CNI configuration of the node; plugins keep what they remember in ``directory``."""
    return json.dumps(
        {
            "cniVersion": "0.4.0",
            "name": "testbed",
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": "pods0",
                    "isGateway": True,
                    "ipMasq": False,
                    "hairpinMode": True,
                    "ipam": {
                        "type": "host-local",
                        "dataDir": str(directory),
                        "ranges": [[{"subnet": POD_RANGE}]],
                        "routes": [{"dst": "0.0.0.0/0"}],
                    },
                },
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        },
        indent=2,
    )


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ProcessError(f"ip {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr.strip()}")
    return done.stdout
