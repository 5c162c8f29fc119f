"""The pod runner: a node of the testbed that runs pods as local processes. See `runner.PodRunner`."""

from apostille_testbed.pods.images import Image
from apostille_testbed.pods.routes import Route
from apostille_testbed.pods.runner import PodRunner
from apostille_testbed.pods.sandbox import Isolation, SandboxError, decide

__all__ = ["Image", "Isolation", "PodRunner", "Route", "SandboxError", "decide"]
