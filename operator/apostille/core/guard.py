"""What the policies refuse, as a function: token requests and pods that use a protected audience.

``core.grants`` says the same in CEL; that both agree is a property test on a real API server.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apostille.core.grants import Grant, Protection
from apostille.model import names
from apostille.model.finding import Finding
from apostille.model.identity import ServiceAccount
from apostille.rules import catalogue, checks

# What the API server fills in where a projection says nothing (core/v1 ServiceAccountTokenProjection).
DEFAULT_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Guard:
    """Protected audiences with the namespaces that each spares, and the seconds of every grant."""

    spared: Mapping[str, frozenset[str]]
    granted: Mapping[tuple[ServiceAccount, str], int]
    excluded: frozenset[str]

    @classmethod
    def of(cls, protections: Collection[Protection], grants: Collection[Grant], own_namespace: str) -> Guard:
        """Of what policies are made of."""
        return cls(
            {protection.audience: frozenset(protection.spared) for protection in protections},
            {(grant.account, grant.audience): grant.seconds for grant in grants},
            frozenset((*names.SYSTEM_NAMESPACES, own_namespace)),
        )

    def _guards(self, namespace: str, audience: Any) -> bool:
        return audience in self.spared and namespace not in self.spared[audience] and namespace not in self.excluded

    def token(self, account: ServiceAccount, request: Mapping[str, Any]) -> Iterator[Finding]:
        """Findings on a TokenRequest's ``spec``, as validation sees it: with its defaults."""
        audiences = request.get("audiences") or []
        touched = [audience for audience in audiences if self._guards(account.namespace, audience)]
        if not touched:
            return
        if len(audiences) != 1:
            yield catalogue.AUD_MULTI.at("spec.audiences", f"{touched[0]} is requested beside other audiences")
        seconds = self.granted.get((account, touched[0]))
        if seconds is None:
            yield catalogue.TOKEN_UNGRANTED.at("spec.audiences", _ungranted(account, touched[0]))
        if (request.get("boundObjectRef") or {}).get("kind") != "Pod":
            yield catalogue.TOKEN_UNBOUND.at("spec.boundObjectRef", f"a token for {touched[0]} is bound to no pod")
        if seconds is not None and request.get("expirationSeconds", DEFAULT_SECONDS) > seconds:
            yield catalogue.TOKEN_LONG.at(
                "spec.expirationSeconds", f"{request['expirationSeconds']} is over the {seconds} that are granted"
            )

    def pod(self, namespace: str, spec: Mapping[str, Any], path: str = "spec") -> Iterator[Finding]:
        """Findings on the spec of a pod or of a template, volume by volume."""
        account = ServiceAccount(namespace, spec.get("serviceAccountName") or "default")
        for i, volume in enumerate(spec.get("volumes") or ()):
            sources = (volume.get("projected") or {}).get("sources") or ()
            tokens = [source["serviceAccountToken"] for source in sources if source.get("serviceAccountToken")]
            mine = [token for token in tokens if self._guards(namespace, token.get("audience"))]
            where = f"{path}.volumes[{i}]"
            if mine and len(tokens) != 1:
                yield catalogue.AUD_MULTI.at(
                    where, f"volume {volume.get('name')} projects a token for {mine[0]['audience']} beside others"
                )
            for token in mine:
                seconds, asked = self.granted.get((account, token["audience"])), token.get("expirationSeconds")
                if seconds is None:
                    yield catalogue.TOKEN_UNGRANTED.at(where, _ungranted(account, token["audience"]))
                elif (asked or DEFAULT_SECONDS) > seconds:
                    yield catalogue.TOKEN_LONG.at(where, f"{asked} seconds are over the {seconds} that are granted")

    def early(
        self, namespace: str, spec: Mapping[str, Any], path: str = "spec", *, of_template: bool = True
    ) -> Iterator[Finding]:
        """Of hand-declared tokens for protected audiences also what policies let pass and nobody should have.

        What policies say of a pod they say themselves; of a template nobody else does.
        """
        declared = list(self._declared(namespace, spec))
        if declared:
            name = spec.get("serviceAccountName") or "default"
            yield from checks.service_account(namespace, name, f"{path}.serviceAccountName")
        for i, _, token in declared:
            if token.get("expirationSeconds") == checks.EXTENDED_SECONDS:
                yield from checks.lifetime(checks.EXTENDED_SECONDS, f"{path}.volumes[{i}]")
        if of_template:
            yield from self.pod(namespace, spec, path)

    def debugged(self, namespace: str, spec: Mapping[str, Any]) -> Iterator[Finding]:
        """Findings on a pod's ephemeral containers: one that mounts an identity, Apostille's or a hand-declared one."""
        containers = spec.get("ephemeralContainers") or ()
        if namespace in self.excluded or not containers:
            return
        identities = {name for _, name, _ in self._declared(namespace, spec)}
        for i, container in enumerate(containers):
            for j, mount in enumerate(container.get("volumeMounts") or ()):
                name = str(mount.get("name"))
                if names.holds_identity(name) or name in identities:
                    yield catalogue.TOKEN_MOUNTED.at(
                        f"spec.ephemeralContainers[{i}].volumeMounts[{j}]", f"{container.get('name')} mounts {name}"
                    )

    def _declared(self, namespace: str, spec: Mapping[str, Any]) -> Iterator[tuple[int, Any, Mapping[str, Any]]]:
        """Hand-declared tokens for protected audiences, with the place and the name of their volume."""
        for i, volume in enumerate(spec.get("volumes") or ()):
            for source in (volume.get("projected") or {}).get("sources") or ():
                token = source.get("serviceAccountToken")
                if token and self._guards(namespace, token.get("audience")):
                    yield i, volume.get("name"), token


def template(kind: str, raw: Mapping[str, Any]) -> tuple[Mapping[str, Any], str]:
    """The pod, or the template of pods, in an object of this kind, and the path of its spec."""
    if kind == "Pod":
        return raw, "spec"
    path = ["spec", "jobTemplate", "spec", "template"] if kind == "CronJob" else ["spec", "template"]
    node: Any = raw
    for key in path:
        node = (node or {}).get(key)
    return node or {}, ".".join([*path, "spec"])


def _ungranted(account: ServiceAccount, audience: str) -> str:
    return (
        f"no live WorkloadBinding grants service account {account.name} of namespace {account.namespace} tokens for "
        f"audience {audience}"
    )
