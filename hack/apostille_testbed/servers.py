"""The command lines of the control plane's servers, and why each flag is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SERVICE_RANGE = "10.96.0.0/16"
"""Where ClusterIPs come from; nothing routes them here."""

KUBERNETES_SERVICE = "10.96.0.1"
"""The address of the service ``kubernetes``: the first of the range."""


def etcd(program: Path, directory: Path, client: int, peer: int) -> list[str]:
    """etcd on two loopback ports; its data ends with the instance, so it need not survive a power cut."""
    client_url, peer_url = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    return [
        str(program),
        f"--data-dir={directory / 'etcd'}",
        f"--listen-client-urls={client_url}",
        f"--advertise-client-urls={client_url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=default={peer_url}",
        "--socket-reuse-port",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


@dataclass(frozen=True)
class APIServer:
    """What the command line of an API server is made of."""

    program: Path
    directory: Path
    """Where it may write."""
    address: str
    port: int
    etcd: int
    """The client port of its etcd."""
    ca: Path
    """The authority of all certificates, clients' and its own."""
    server: tuple[Path, Path]
    """Certificate and key of its port."""
    kubelet_client: tuple[Path, Path]
    """Certificate and key it shows to kubelets."""
    front_ca: Path
    front: tuple[Path, Path]
    """Certificate and key it shows to aggregated API servers."""
    issuer: str
    service_account_keys: Sequence[Path]
    """The first signs; all are published."""

    def command(self, further: Sequence[str]) -> list[str]:
        """The command line with ``further`` flags, which win."""
        return [
            str(self.program),
            f"--etcd-servers=http://127.0.0.1:{self.etcd}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.port}",
            "--permit-port-sharing",
            # A loopback address is refused in Endpoints.
            "--endpoint-reconciler-type=none",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--anonymous-auth=true",
            "--allow-privileged=true",
            "--profiling=false",
            f"--cert-dir={self.directory / 'pki'}",
            f"--client-ca-file={self.ca}",
            f"--tls-cert-file={self.server[0]}",
            f"--tls-private-key-file={self.server[1]}",
            f"--kubelet-certificate-authority={self.ca}",
            f"--kubelet-client-certificate={self.kubelet_client[0]}",
            f"--kubelet-client-key={self.kubelet_client[1]}",
            "--kubelet-preferred-address-types=InternalIP",
            f"--service-account-issuer={self.issuer}",
            f"--service-account-jwks-uri=https://{self.address}:{self.port}/openid/v1/jwks",
            f"--service-account-signing-key-file={self.service_account_keys[0]}",
            *(f"--service-account-key-file={key}" for key in self.service_account_keys),
            # Without these the controller manager logs errors.
            f"--requestheader-client-ca-file={self.front_ca}",
            "--requestheader-allowed-names=front-proxy-client",
            "--requestheader-username-headers=X-Remote-User",
            "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={self.front[0]}",
            f"--proxy-client-key-file={self.front[1]}",
            *further,
        ]


def controller_manager(program: Path, directory: Path, port: int, kubeconfig: Path, ca: Path) -> list[str]:
    """kube-controller-manager, alone and in a hurry."""
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        "--permit-port-sharing",
        f"--cert-dir={directory / 'pki'}",
        "--use-service-account-credentials=true",
        f"--root-ca-file={ca}",
        "--leader-elect=false",
        # With the defaults the first service account takes five seconds.
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]


def scheduler(program: Path, directory: Path, kubeconfig: Path) -> list[str]:
    """kube-scheduler, alone; nobody asks it anything, so it serves nothing."""
    return [
        str(program),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--bind-address=127.0.0.1",
        "--secure-port=0",
        f"--cert-dir={directory / 'pki'}",
        "--leader-elect=false",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]
