"""AWS."""

from __future__ import annotations

from builders import binding, role, trust
from samples.sample import Sample

SAMPLES = {
    "AWS": Sample(trust(), binding, tuple({"aws": {"roleARN": role(name)}} for name in ("a", "b", "path/c"))),
}
