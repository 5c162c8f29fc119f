"""``python -m apostille_testbed``: what ``hack/testbed`` runs."""

import sys

from apostille_testbed.cli import main

sys.exit(main(sys.argv[1:]))
