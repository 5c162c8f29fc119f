"""Options that several commands have."""

from __future__ import annotations

import argparse

OWN_NAMESPACE = "apostille-system"


def cluster(parser: argparse.ArgumentParser) -> None:
    """Which cluster, as kubectl takes it."""
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: $KUBECONFIG, then ~/.kube/config")
    parser.add_argument("--context", metavar="NAME", help="context of the kubeconfig (default: its current one)")


def output(parser: argparse.ArgumentParser, *forms: str) -> None:
    """The form of what is printed; the first is the default."""
    parser.add_argument("-o", "--output", choices=forms, default=forms[0], help="default: %(default)s")
