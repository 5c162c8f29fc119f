"""What linting a large repository costs: a thousand files, against reading them with a YAML library alone."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from apostille_bench.runner import Batch, Variant
from apostille_bench.scene import ROOT

FILES, TRUSTS = 1000, 50
_LOAD = """
import pathlib, sys, yaml
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.yaml")):
    list(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader))
"""
_ENTRY = "from apostille.cli.main import main; main()"


class Lint:
    """50 trusts, 950 files with a binding and a Deployment each; and the same with 10,000 findings."""

    name = "lint"
    question = f"how long does `apostille lint` take for {FILES:,} files?"

    @contextmanager
    def variants(self, say: Callable[[str], None]) -> Iterator[Sequence[Variant]]:
        """The files are written once."""
        with tempfile.TemporaryDirectory() as folder:
            clean, broad = Path(folder) / "clean", Path(folder) / "broad"
            write(clean, "reader")
            write(broad, "default", accounts=10)
            yield (
                Variant("pyyaml", "PyYAML's C loader reads them", lambda: _batch(_LOAD, str(clean))),
                Variant("lint", "apostille lint, no findings", lambda: _batch(_ENTRY, "lint", str(clean))),
                Variant(
                    "findings", "the same with ten findings a file, as SARIF",
                    lambda: _batch(_ENTRY, "lint", "--fail-on=never", "-o=sarif", str(broad)),
                ),
            )  # fmt: skip


def write(folder: Path, account: str, accounts: int = 1) -> None:
    """The files; a service account `default` is refused wherever it is named."""
    for number in range(FILES):
        of = number % TRUSTS
        path = folder / f"team-{of}" / f"{number}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        names = ", ".join([account] * accounts if accounts > 1 else [account])
        role = "arn:aws:iam::123456789012:role/reader"
        if number < TRUSTS:
            teams = [f"ns-{n}" for n in range(of, FILES, TRUSTS)]
            allow = "".join(
                f"  - {{namespace: {team}, serviceAccounts: [{account}], targets: ['{role}']}}\n" for team in teams
            )
            path.write_text(
                "apiVersion: apostille.dev/v1alpha1\nkind: FederationTrust\n"
                f"metadata: {{name: trust-{of}}}\nspec:\n"
                "  relyingParty: {type: AWS, aws: {accountID: '123456789012', region: eu-west-1}}\n"
                f"  audience: https://trust-{of}.example\n  allow:\n{allow}"
            )
        else:
            path.write_text(
                "apiVersion: apostille.dev/v1alpha1\nkind: WorkloadBinding\n"
                f"metadata:\n  name: reader\n  namespace: ns-{number}\nspec:\n  trustRef: {{name: trust-{of}}}\n"
                f"  subject:\n    serviceAccountNames: [{names}]\n  target:\n    aws:\n      roleARN: {role}\n---\n"
                "apiVersion: apps/v1\nkind: Deployment\n"
                f"metadata:\n  name: web\n  namespace: ns-{number}\n  labels: {{app: web}}\nspec:\n  replicas: 2\n"
                "  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n"
                f"      serviceAccountName: {account}\n      containers:\n      - name: app\n        image: app:1\n"
                "        env:\n        - {name: MODE, value: prod}\n        ports:\n        - containerPort: 8080\n"
            )


def _batch(program: str, *arguments: str) -> Batch:
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={"PYTHONPATH": str(ROOT / "operator")},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": [time.perf_counter() - began], "CPU seconds": [cpu]}
