"""MinIO, in both of its modes."""

from __future__ import annotations

from samples.bad_input import Bad
from samples.sample import Sample
from self_hosted import minio_binding, minio_trust

_TARGETS = tuple({"minio": {"policy": f"ledger-{name}"}} for name in ("reader", "writer"))
SAMPLES = {
    "MinIO": Sample(minio_trust(), minio_binding, _TARGETS),
    "MinIO with roles": Sample(minio_trust(settings={"mode": "Role"}), minio_binding, _TARGETS),
}
BAD = {
    "an endpoint with a path": Bad({"endpoint": "https://minio.example:9000/minio"}),
    "the machine's metadata": Bad({"endpoint": "https://169.254.169.254"}),
    "a policy that is not described": Bad(target="consoleAdmin"),
}
