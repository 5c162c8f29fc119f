"""Where the API server is and how to authenticate: kubeconfig or in-cluster, by the official client's loader."""

from __future__ import annotations

import ssl
import threading
import time
from pathlib import Path
from typing import Any

# Many requests may be refused at once; one of them reads the credentials again.
RENEW_PAUSE = 1.0
_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Connection:
    """Server address, TLS and credentials. Tokens that rotate (in-cluster, exec plugins) are read anew per request."""

    def __init__(
        self, configuration: Any, *, in_cluster: bool, kubeconfig: str | None = None, context: str | None = None
    ) -> None:
        self._configuration = configuration
        self.in_cluster = in_cluster
        self.server: str = configuration.host.rstrip("/")
        self._kubeconfig, self._context = kubeconfig, context
        self._renewing, self._renewed = threading.Lock(), -RENEW_PAUSE

    @classmethod
    def load(cls, kubeconfig: str | None = None, context: str | None = None) -> Connection:
        """From ``kubeconfig``, else in-cluster, else ``$KUBECONFIG`` or ``~/.kube/config``; there its ``context``.

        Raises ConnectionError with what was tried.
        """
        # Imported here: half a second that `apostille --help` need not pay.
        from kubernetes import client, config

        configuration = client.Configuration()
        in_cluster = (
            kubeconfig is None
            and context is None
            and Path("/var/run/secrets/kubernetes.io/serviceaccount/token").exists()
        )
        try:
            if in_cluster:
                config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            else:
                config.load_kube_config(  # type: ignore[no-untyped-call]
                    config_file=kubeconfig, context=context, client_configuration=configuration
                )
        except config.ConfigException as error:
            raise ConnectionError(f"no cluster found: {error}; pass --kubeconfig or set KUBECONFIG") from None
        return cls(configuration, in_cluster=in_cluster, kubeconfig=kubeconfig, context=context)

    @property
    def namespace(self) -> str:
        """That of the context, as kubectl takes it."""
        if self.in_cluster:
            return (_POD / "namespace").read_text().strip()
        from kubernetes import config

        contexts, active = config.list_kube_config_contexts(self._kubeconfig)  # type: ignore[no-untyped-call]
        chosen = next((one for one in contexts if one["name"] == self._context), active)
        return str((chosen.get("context") or {}).get("namespace") or "default")

    def renew(self) -> bool:
        """After an answer 401: reads the credentials from where they came; whether it may be tried again with them.

        A token that stands in a kubeconfig ends one day, and whoever wrote it there puts another in its place.
        """
        with self._renewing:
            if time.monotonic() - self._renewed < RENEW_PAUSE:
                return True
            before = self.token
            try:
                self._configuration = type(self).load(self._kubeconfig, self._context)._configuration
            except (ConnectionError, OSError, ValueError):
                return False  # half written, perhaps; the next refusal looks again
            if self.token == before:
                return False
            self._renewed = time.monotonic()
            return True

    def headers(self) -> dict[str, str]:
        """The Authorization header, where a bearer token is used."""
        token = self.token
        return {"Authorization": f"Bearer {token}"} if token else {}

    @property
    def token(self) -> str | None:
        """The bearer token as it is now; None with client certificates."""
        # The loader's own view: it calls the refresh hook of rotating tokens.
        for setting in self._configuration.auth_settings().values():
            kind, _, token = str(setting.get("value") or "").partition(" ")
            if kind.lower() == "bearer" and token:
                return token
        return None

    @property
    def ca_file(self) -> str | None:
        """PEM bundle of the server's CA."""
        path: str | None = self._configuration.ssl_ca_cert
        return path

    @property
    def client_certificate(self) -> tuple[str, str] | None:
        """(certificate, key) files."""
        cert, key = self._configuration.cert_file, self._configuration.key_file
        return (cert, key) if cert and key else None

    def ssl_context(self) -> ssl.SSLContext:
        """TLS as the kubeconfig says."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if not self._configuration.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if (pair := self.client_certificate) is not None:
            context.load_cert_chain(*pair)
        return context
