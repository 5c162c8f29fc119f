"""``python -m apostille_exchange``."""

from __future__ import annotations

from apostille_exchange.main import main

main()
