"""The baseline: the same injection in kopf's own admission server, written the way kopf's documentation does."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
from typing import Any

import jsonpatch
import kopf

from apostille.core.inject import inject
from apostille.core.pod_plan import pod_plan
from apostille.core.settings import InjectionSettings
from apostille.kinds import decode
from apostille.kube.connection import Connection


def main() -> None:
    """Serves until it is killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--trust", required=True, help="JSON of a FederationTrust")
    parser.add_argument("--binding", required=True, help="JSON of a WorkloadBinding")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_serve(options))


async def _serve(options: argparse.Namespace) -> None:
    trust = decode.federation_trust(json.loads(options.trust))
    binding = decode.workload_binding(json.loads(options.binding))
    registry = kopf.OperatorRegistry()
    connection = Connection.load(options.kubeconfig)

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        certificate, key = connection.client_certificate or (None, None)
        return kopf.ConnectionInfo(
            server=connection.server, ca_path=connection.ca_file, certificate_path=certificate, private_key_path=key
        )

    @kopf.on.startup(registry=registry)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.admission.server = kopf.WebhookServer(
            addr="127.0.0.1", port=options.port, certfile=options.certificate, pkeyfile=options.key
        )
        settings.posting.enabled = False

    @kopf.on.mutate("v1", "pods", operation="CREATE", registry=registry, id="inject")
    def mutate(body: kopf.Body, patch: kopf.Patch, warnings: list[str], **_: Any) -> None:
        pod = dict(body)
        result = inject(pod, [pod_plan(trust, binding)], InjectionSettings())
        warnings.extend(result.warnings)
        if result.denial:
            raise kopf.AdmissionError(result.denial, code=403)
        made = jsonpatch.apply_patch(pod, list(result.operations))
        patch.update({"metadata": made["metadata"], "spec": made["spec"]})

    await kopf.operator(registry=registry, clusterwide=True, standalone=True)


if __name__ == "__main__":
    main()
