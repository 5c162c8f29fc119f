"""`doctor` beside an installation that is broken piece by piece."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from apostille.cli.main import main
from apostille_testbed import Installation, control_plane
from apostille_testbed.installation import ADMISSION, CONTROLLER, NAMESPACE
from integration.cluster import Cluster
from integration.plain_client import connected, until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def own() -> Iterator[Cluster]:
    """An installation of its own, broken at the end."""
    with (
        control_plane() as plane,
        Installation(plane, quick=True) as installation,
        connected(plane.kubeconfig) as api,
    ):
        yield Cluster(installation, api)


def levels(own: Cluster, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, tuple[str, str]]]:
    """(exit code, the first line of each check: its level and its message)."""
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "-o", "json", f"--kubeconfig={own.installation.control_plane.kubeconfig}"])
    found: dict[str, tuple[str, str]] = {}
    for check in json.loads(capsys.readouterr().out)["checks"]:
        found.setdefault(check["name"], (check["level"], check["message"]))
    assert isinstance(ended.value.code, int)
    return ended.value.code, found


def test_each_piece_that_breaks_has_its_line(own: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    with own.team() as team:
        team.declare(team.trust(enforcement={"mode": "Enforce"}), team.binding())
        team.in_force()

        def well() -> bool:
            code, found = levels(own, capsys)
            return code == 0 and {found[name][0] for name in ("selection", "policies", "admission")} == {"ok"}

        until(well, "all is in force and said so", 0.3)

        own.installation.kill(CONTROLLER)
        before = own.kubectl("get", "lease", "apostille-controller", "-n", NAMESPACE, "-o", "jsonpath={.spec}").stdout
        old = json.dumps({"spec": json.loads(before) | {"renewTime": "2020-01-01T00:00:00.000000Z"}})
        own.kubectl("patch", "lease", "apostille-controller", "-n", NAMESPACE, "--type=merge", "-p", old)
        code, found = levels(own, capsys)
        assert (code, found["controller"][0], found["admission"][0]) == (1, "fail", "ok")
        assert "has not renewed its lease" in found["controller"][1]

        # Nobody is there to repair what is deleted by hand.
        own.kubectl("delete", "mutatingwebhookconfiguration", "apostille-pods-0")
        found = levels(own, capsys)[1]
        assert found["selection"] == ("fail", f"{team.ns}/reader is bound, but new pods of theirs are not injected")
        own.kubectl("delete", "validatingadmissionpolicy", "-l", "app.kubernetes.io/managed-by=apostille")
        assert levels(own, capsys)[1]["policies"][0] == "fail"

        own.installation.kill(ADMISSION)
        until(lambda: levels(own, capsys)[1]["admission"][0] == "fail", "the endpoint is not reached", 0.3)
        own.kubectl("delete", "clusterrole", "apostille-anchor")
        found = levels(own, capsys)[1]
        assert (found["installation"][0], found["api server"][0]) == ("fail", "ok")
