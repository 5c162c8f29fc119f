"""The house's shape where no linter sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("asyncio", "kopf", "aiohttp", "kubernetes", "yaml", "http.client", "urllib.request", "ssl", "socket")


def _modules(*folders: str) -> list[str]:
    return sorted(
        ".".join(path.relative_to(ROOT / "operator").with_suffix("").parts)
        for folder in folders
        for path in (ROOT / "operator" / "apostille" / folder).rglob("*.py")
        if path.name != "__init__.py"
    )


def test_the_source_root_does_not_shadow_the_standard_librarys_operator() -> None:
    import operator

    assert not (ROOT / "operator" / "__init__.py").exists()
    assert operator.itemgetter(1)("ab") == "b"
    assert Path(operator.__file__).parent == Path(subprocess.__file__).parent


@pytest.mark.parametrize("folder", ["model", "rules", "parties", "kinds", "core"])
def test_nothing_up_to_the_core_reaches_for_io(folder: str) -> None:
    modules = _modules(folder)
    assert modules, "a folder of the pure half has gone"
    script = (
        f"import sys, importlib\n"
        f"for module in {modules!r}: importlib.import_module(module)\n"
        f"print(*(name for name in {HEAVY!r} if name in sys.modules))\n"
    )
    found = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path[:0] = {[str(ROOT / 'operator'), *_site()]!r}\n{script}",
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert found.split() == []


def _site() -> list[str]:
    # -S keeps out .pth files, which may import anything; the packages themselves are still needed.
    return [path for path in sys.path if path.endswith("site-packages")]
