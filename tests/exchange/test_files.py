"""Credential files on disk: whole, with the right mode, readable through the directory, no debris."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from apostille_exchange.deliver import files
from apostille_exchange.deliver.stamp import Stamp, find


@pytest.fixture(params=[0o000, 0o022, 0o077])
def _umask(request: pytest.FixtureRequest) -> object:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_mode_and_directories_do_not_depend_on_the_umask(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a" / "b" / "credentials"
    files.write(str(path), "one", mode)
    files.write(str(path), "two", mode)
    assert path.read_text() == "two"
    assert path.stat().st_mode & 0o7777 == mode
    assert [each.stat().st_mode & 0o777 for each in (path.parent, path.parent.parent)] == [0o755, 0o755]
    assert [each.name for each in path.parent.iterdir()] == ["credentials"]


def test_a_group_that_is_handed_down_stays_handed_down(tmp_path: Path) -> None:
    tmp_path.chmod(0o2777)
    files.write(str(tmp_path / "a" / "credentials"), "x", 0o640)
    assert (tmp_path / "a").stat().st_mode & 0o7777 == 0o2755


def test_a_directory_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    directory = tmp_path / "a"
    directory.mkdir(mode=0o700)
    files.write(str(directory / "credentials"), "x", 0o600)
    assert directory.stat().st_mode & 0o777 == 0o700


def test_readers_see_the_old_or_the_new_file_and_never_a_part(tmp_path: Path) -> None:
    path = tmp_path / "credentials"
    contents = [letter * 100_000 for letter in "ab"]
    files.write(str(path), contents[0], 0o644)
    done = threading.Event()
    seen: list[str] = []

    def read() -> None:
        while not done.is_set():
            seen.append(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        files.write(str(path), contents[number % 2], 0o644)
    done.set()
    reader.join()
    assert set(seen) <= set(contents)


def test_a_link_left_in_the_temporary_files_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("untouched")
    (tmp_path / ".credentials.tmp").symlink_to(target)
    files.write(str(tmp_path / "credentials"), "secret", 0o600)
    assert target.read_text() == "untouched"
    assert (tmp_path / "credentials").read_text() == "secret"


def test_a_write_that_fails_leaves_the_old_file_and_no_debris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "credentials"
    files.write(str(path), "old", 0o600)

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        files.write(str(path), "new", 0o600)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["credentials"]


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    files.remove(str(tmp_path / "credentials"))
    files.remove(str(tmp_path / "no" / "directory"))
    (tmp_path / "file").write_text("")
    files.remove(str(tmp_path / "file" / "credentials"))


def test_a_stamp_is_found_again_and_nothing_else_is_taken_for_one(tmp_path: Path) -> None:
    stamp = Stamp(1_764_000_000, 1_764_003_600, "0123456789abcdef")
    assert find(f"# {stamp}\n[default]\n") == stamp
    assert find(f"// {stamp} later=field\r\n") == stamp
    for text in ("", "apostille-exchange/1", "apostille-exchange/1 order=x issued=y expires=z", "[default]"):
        assert find(text) is None
    assert files.stamp(str(tmp_path)) is None
    assert files.stamp(str(tmp_path / "none")) is None
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert files.stamp(str(tmp_path / "binary")) is None
