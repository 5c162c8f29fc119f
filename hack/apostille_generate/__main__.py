"""Writes all generated files, or says which are out of date."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from apostille_generate import commands, crds, observability, parties, reasons, reference, rules, validation, values

ROOT = Path(__file__).parents[2]
GENERATORS = (crds, reference, rules, reasons, commands, observability, values, parties, validation)


def main() -> int:
    """0: written, or all up to date; 1: ``--check`` found differences."""
    parser = argparse.ArgumentParser("hack/generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is out of date")
    options = parser.parse_args()
    wanted: dict[str, str] = {}
    for generator in GENERATORS:
        wanted |= generator.files(ROOT)
    # A folder that is generated whole keeps nothing else: a renamed rule leaves no page behind.
    folders = {folder for generator in GENERATORS for folder in getattr(generator, "FOLDERS", ())}
    present = {str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*.*")}
    stale = sorted(present - set(wanted))
    changed = [name for name, text in sorted(wanted.items()) if not _same(ROOT / name, text)]
    if options.check:
        for name in (*changed, *stale):
            print(f"{name} is out of date; run `make generate` and commit the result", file=sys.stderr)
        return 1 if changed or stale else 0
    for name in changed:
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(wanted[name])
        print(f"wrote {name}")
    for name in stale:
        (ROOT / name).unlink()
        print(f"removed {name}")
    return 0


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
