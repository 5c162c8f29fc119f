"""``python -m apostille_demo``: see `cli`."""

import sys

from apostille_demo.cli import main

sys.exit(main(sys.argv[1:]))
