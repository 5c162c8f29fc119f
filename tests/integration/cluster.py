"""Apostille as its users meet it: teams that declare trusts and bindings, run pods and ask for tokens."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from apostille_testbed import Installation
from integration.plain_client import Answer, PlainClient, namespace, pod, service_account, until

ACCOUNT = "123456789012"
GROUP = "/apis/apostille.dev/v1alpha1"
KUBELET: dict[str, Any] = {"user": "kubelet", "groups": ["system:nodes", "system:masters"]}
"""Whose token requests are no foreign user's: with the rights of an administrator, since there is no node."""
Json = dict[str, Any]


def role(name: str = "reader", account: str = ACCOUNT) -> str:
    """The ARN of a role."""
    return f"arn:aws:iam::{account}:role/{name}"


class Cluster:
    """One installation; teams on it do not meet."""

    def __init__(self, installation: Installation, api: PlainClient) -> None:
        self.installation, self.api = installation, api

    def kubectl(self, *arguments: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
        """As the administrator."""
        return self.installation.control_plane.kubectl(*arguments, check=check, **options)

    @contextmanager
    def team(self, labels: Mapping[str, str] | None = None) -> Iterator[Team]:
        """What it declares and runs is gone at the end."""
        team = Team(self, f"team-{secrets.token_hex(3)}", dict(labels or {}))
        try:
            yield team
        finally:
            team.leave()


class Team:
    """The namespace ``ns`` with the service accounts reader, writer and stranger, and an audience of its own.

    A trust of the team allows reader and writer; stranger is elsewhere.
    """

    def __init__(self, cluster: Cluster, ns: str, labels: Mapping[str, str]) -> None:
        self.cluster, self.api, self.ns = cluster, cluster.api, ns
        self.audience = f"https://{ns}.sts.example"
        self._made: list[Mapping[str, Any]] = []
        space = namespace(ns)
        space["metadata"]["labels"] = dict(labels)
        self.api.ensure(space)
        self.api.ensure(*(service_account(ns, name) for name in ("reader", "writer", "stranger", "default")))

    def trust(self, name: str = "", **spec: Any) -> Json:
        """A FederationTrust; ``spec`` replaces whole fields, None drops one."""
        fields: Json = {
            "relyingParty": {"type": "AWS", "aws": {"accountID": ACCOUNT, "region": "eu-west-1"}},
            "audience": self.audience,
            "allow": [self.allow()],
        } | spec
        return _declaration("FederationTrust", {"name": name or self.ns}, fields)

    def allow(self, *accounts: str, targets: Sequence[str] = ()) -> Json:
        """An entry of ``spec.allow`` for this namespace."""
        return {
            "namespace": self.ns,
            "serviceAccounts": list(accounts or ("reader", "writer")),
            "targets": list(targets or [role()]),
        }

    def binding(self, name: str = "s3-reader", account: str = "reader", trust: str = "", **spec: Any) -> Json:
        """A WorkloadBinding under the team's trust."""
        fields: Json = {
            "trustRef": {"name": trust or self.ns},
            "subject": {"serviceAccountNames": [account]},
            "target": {"aws": {"roleARN": role()}},
        } | spec
        return _declaration("WorkloadBinding", {"name": name, "namespace": self.ns}, fields)

    def pod(self, account: str | None = "reader", name: str = "", **spec: Any) -> Json:
        """An ordinary pod that was not created yet."""
        return pod(self.ns, name or f"p-{secrets.token_hex(4)}", account, **spec)

    def declare(self, *documents: Mapping[str, Any]) -> list[Json]:
        """Creates them; raises AssertionError where one is refused."""
        stored = []
        for document in documents:
            answer = self.api.create(document)
            assert answer.ok, answer.message
            self._made.append(document)
            stored.append(dict(answer.body))
        return stored

    def change(self, document: Mapping[str, Any], **spec: Any) -> Answer:
        """Merges fields into the spec of what is stored."""
        return self.api.request(
            "PATCH", self.api.path(document), {"spec": spec}, content_type="application/merge-patch+json"
        )

    def delete(self, document: Mapping[str, Any]) -> None:
        """Without waiting for what follows from it."""
        self.api.delete(document)

    def get(self, document: Mapping[str, Any]) -> Json:
        """The object as it is stored; raises AssertionError where there is none."""
        answer = self.api.request("GET", self.api.path(document))
        assert answer.ok, answer.message
        return dict(answer.body)

    def condition(self, document: Mapping[str, Any], kind: str = "Ready") -> tuple[str, str, str]:
        """(status, reason, message) of a condition that speaks of the current spec; empty before there is one."""
        stored = self.get(document)
        for condition in stored.get("status", {}).get("conditions", ()):
            if condition["type"] == kind and condition["observedGeneration"] == stored["metadata"]["generation"]:
                return condition["status"], condition["reason"], condition["message"]
        return "", "", ""

    def until_ready(self, document: Mapping[str, Any], reason: str = "") -> str:
        """Waits until ``Ready`` is True, or has this reason; returns its message."""

        def there() -> bool:
            status, found, _ = self.condition(document)
            return found == reason if reason else status == "True"

        until(there, f"{self.api.path(document)} is {reason or 'Ready'}", 0.05)
        return self.condition(document)[2]

    def in_force(self) -> None:
        """Waits until everything that the team has declared works."""
        for document in self._made:
            if document["kind"] in ("FederationTrust", "WorkloadBinding"):
                self.until_ready(document)

    def run(self, account: str | None = "reader", name: str = "", **spec: Any) -> Json:
        """Creates a pod; raises AssertionError where it is refused."""
        return self.declare(self.pod(account, name, **spec))[0]

    def token(
        self, of: Mapping[str, Any] | None, audiences: Sequence[str] = (), *, account: str = "", seconds: int = 3600
    ) -> Answer:
        """A token request as a kubelet makes it, bound to a pod; not bound where ``of`` is None."""
        spec: Json = {"audiences": list(audiences) or [self.audience], "expirationSeconds": seconds}
        if of is not None:
            reference = {key: of["metadata"][key] for key in ("name", "uid")}
            spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", **reference}
            account = account or of["spec"]["serviceAccountName"]
        path = f"/api/v1/namespaces/{self.ns}/serviceaccounts/{account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return self.api.request("POST", path, body, **KUBELET)

    def leave(self) -> None:
        """Deletes what was declared and run, bindings before their trusts."""
        for document in reversed(self._made):
            self.api.delete(document)


def injected(pod: Mapping[str, Any]) -> bool:
    """Whether a pod carries a plan."""
    return "apostille.dev/plan" in (pod["metadata"].get("annotations") or {})


def _declaration(kind: str, metadata: Mapping[str, str], spec: Mapping[str, Any]) -> Json:
    fields = {key: value for key, value in spec.items() if value is not None}
    return {"apiVersion": "apostille.dev/v1alpha1", "kind": kind, "metadata": dict(metadata), "spec": fields}
