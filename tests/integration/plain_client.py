"""The API server as a test sees it: one request, one answer with its code, message and warnings.

kubectl takes 60 ms a call and hides the warnings of a dry run among its own output; a table of fifty requests needs
neither. What users *see* is still asserted through kubectl, once for each form.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import yaml

IDLE = 60.0  # seconds after which a connection is not used again: an API server ends it after 90
CEILING = 60.0  # seconds until a poll gives up; a healthy API server needs one or two
_WARNING = re.compile(r'299 \S+ "((?:[^"\\]|\\.)*)"')
_COLLECTIONS = {
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "FederationTrust": "/apis/apostille.dev/v1alpha1/federationtrusts",
    "LimitRange": "/api/v1/namespaces/{namespace}/limitranges",
    "MutatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "Namespace": "/api/v1/namespaces",
    "Pod": "/api/v1/namespaces/{namespace}/pods",
    "ResourceQuota": "/api/v1/namespaces/{namespace}/resourcequotas",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "ValidatingAdmissionPolicy": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "WorkloadBinding": "/apis/apostille.dev/v1alpha1/namespaces/{namespace}/workloadbindings",
}


@dataclass(frozen=True)
class Answer:
    """``message`` is the Status' message where the request was refused, else empty."""

    code: int
    body: Mapping[str, Any]
    warnings: tuple[str, ...]
    seconds: float

    @property
    def ok(self) -> bool:
        return self.code < 300

    @property
    def message(self) -> str:
        return "" if self.ok else str(self.body.get("message", ""))


class PlainClient:
    """Speaks as the kubeconfig's user, or as whom it is asked to impersonate."""

    def __init__(self, kubeconfig: str | Path) -> None:
        config = yaml.safe_load(Path(kubeconfig).read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._address = urlsplit(cluster["server"]).netloc
        self._context = ssl.create_default_context(cadata=_text(cluster, "certificate-authority", kubeconfig))
        self._headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        if not self._headers:
            pair = _text(user, "client-certificate", kubeconfig) + "\n" + _text(user, "client-key", kubeconfig)
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(pair)
                file.flush()
                self._context.load_cert_chain(file.name)
        self._connection: http.client.HTTPSConnection | None = None
        self._used = time.monotonic()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: str = "",
        groups: Sequence[str] = (),
        content_type: str = "application/json",
    ) -> Answer:
        """One request; ``body`` as JSON, or as it is where it is bytes. ``user`` and ``groups`` are impersonated."""
        if time.monotonic() - self._used > IDLE:
            self.close()
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(self._address, context=self._context, timeout=CEILING)
        connection = self._connection
        began = time.monotonic()
        try:
            payload = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.putrequest(method, path)
            for key, value in {**self._headers, "Content-Type": content_type, "Accept": "application/json"}.items():
                connection.putheader(key, value)
            if user:
                connection.putheader("Impersonate-User", user)
                for group in groups:
                    connection.putheader("Impersonate-Group", group)
            connection.putheader("Content-Length", str(len(payload or b"")))
            connection.endheaders(payload)
            response = connection.getresponse()
            text = response.read()
            self._used = time.monotonic()
        except BaseException:
            self.close()
            raise
        warnings = [
            re.sub(r"\\(.)", r"\1", found)
            for header in response.headers.get_all("Warning") or ()
            for found in _WARNING.findall(header)
        ]
        try:
            said = json.loads(text)
        except ValueError:  # of a path that is not served (yet): 404 page not found
            said = {"message": text.decode(errors="replace")}
        return Answer(response.status, said, tuple(warnings), time.monotonic() - began)

    @staticmethod
    def path(document: Mapping[str, Any]) -> str:
        """Where an object is."""
        return f"{_collection(document)}/{quote(document['metadata']['name'])}"

    def create(self, document: Mapping[str, Any], *, dry_run: bool = False, **who: Any) -> Answer:
        path = _collection(document) + ("?dryRun=All" if dry_run else "")
        return self.request("POST", path, document, **who)

    def apply(self, document: Mapping[str, Any], manager: str = "tests") -> Answer:
        """Server-side apply; raises AssertionError where it is refused."""
        path = f"{self.path(document)}?fieldManager={manager}&force=true"
        answer = self.request("PATCH", path, document, content_type="application/apply-patch+yaml")
        assert answer.ok, answer.message
        return answer

    def delete(self, document: Mapping[str, Any]) -> None:
        """Deletes at once; a missing object is fine."""
        answer = self.request("DELETE", f"{self.path(document)}?gracePeriodSeconds=0")
        assert answer.ok or answer.code == 404, answer.message

    def ensure(self, *documents: Mapping[str, Any]) -> None:
        """Creates what is missing."""
        for document in documents:
            answer = self.create(document)
            assert answer.ok or answer.code == 409, answer.message

    def probe(self, namespace: str, name: str = "apostille-probe") -> tuple[str, ...]:
        """The warnings of a dry run that creates a ConfigMap of this name."""
        metadata = {"name": name, "namespace": namespace}
        answer = self.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}, dry_run=True)
        assert answer.ok, answer.message
        return answer.warnings


@contextmanager
def connected(kubeconfig: str | Path) -> Iterator[PlainClient]:
    """A client that is closed at the end."""
    client = PlainClient(kubeconfig)
    try:
        yield client
    finally:
        client.close()


def until(condition: Callable[[], bool], what: str, interval: float = 0.02) -> float:
    """Polls until it holds; returns the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < CEILING, f"{what}: not within {CEILING:g} s"
        time.sleep(interval)
    return time.monotonic() - began


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def service_account(namespace: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


def pod(namespace: str, name: str, account: str | None, **spec: Any) -> dict[str, Any]:
    """A pod of one container; without ``serviceAccountName`` where ``account`` is None."""
    containers = spec.pop("containers", [{"name": "app", "image": "app"}])
    named = {} if account is None else {"serviceAccountName": account}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {**named, "containers": containers, **spec},
    }


def _collection(document: Mapping[str, Any]) -> str:
    return _COLLECTIONS[document["kind"]].format(namespace=document["metadata"].get("namespace", ""))


def _text(section: Mapping[str, str], key: str, kubeconfig: str | Path) -> str:
    if f"{key}-data" in section:
        return base64.b64decode(section[f"{key}-data"]).decode()
    return (Path(kubeconfig).parent / section[key]).read_text()
