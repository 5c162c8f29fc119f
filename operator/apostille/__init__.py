"""Apostille: workload identity federation for Kubernetes."""

__version__ = "0.2.0"
