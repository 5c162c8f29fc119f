"""The pod runner: a node of the testbed that runs pods as local processes. See `nodes.pod_runner`."""

from apostille_testbed.pods.images import DEFAULT_IMAGES, Image, exchange_image, sdk_image, standard_images
from apostille_testbed.pods.nodes import pod_runner
from apostille_testbed.pods.routes import Route
from apostille_testbed.pods.runner import PodRunner
from apostille_testbed.pods.sandbox import Isolation, SandboxError, decide, detect

__all__ = [
    "DEFAULT_IMAGES",
    "Image",
    "Isolation",
    "PodRunner",
    "Route",
    "SandboxError",
    "decide",
    "detect",
    "exchange_image",
    "pod_runner",
    "sdk_image",
    "standard_images",
]
