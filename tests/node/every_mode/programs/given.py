"""What a container was given."""

import os
from pathlib import Path

TOKEN = os.environ.get("TOKEN", "")
"""Where the assertion lies, for programs that exchange it by themselves; a pod's author writes it into its spec."""


def token():
    """The assertion."""
    return Path(TOKEN).read_text()


def file(variable):
    """The content of the file that a variable of the environment names."""
    return Path(os.environ[variable]).read_text().strip()
