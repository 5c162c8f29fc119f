"""A container's environment and command line, as the kubelet makes them. Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from apostille_testbed.pods import fields
from apostille_testbed.pods.images import Image

Object = dict[str, Any]
_REFERENCE = re.compile(r"\$(\$|\([^()]+\))")


class ConfigError(Exception):
    """The container's configuration cannot be made (CreateContainerConfigError); the message names the object."""


def expand(text: str, known: Mapping[str, str]) -> str:
    """`$(NAME)` becomes the variable's value, `$$` a dollar; an unknown name stays as it is (core/v1 EnvVar)."""

    def replace(match: re.Match[str]) -> str:
        token = match[1]
        if token == "$":
            return "$"
        return known.get(token[1:-1], match[0])

    return _REFERENCE.sub(replace, text)


def references(container: Object) -> set[tuple[str, str]]:
    """The ("configmaps" | "secrets", name) pairs that the container's environment is made from."""
    found = set()
    for source in container.get("envFrom", ()):
        for member, kind in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            if member in source:
                found.add((kind, str(source[member]["name"])))
    for item in container.get("env", ()):
        source = item.get("valueFrom") or {}
        for member, kind in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
            if member in source:
                found.add((kind, str(source[member]["name"])))
    return found


def content(found: Object) -> dict[str, bytes]:
    """A ConfigMap's or Secret's entries."""
    if found.get("kind") == "Secret" or "type" in found:
        return {key: base64.b64decode(text) for key, text in (found.get("data") or {}).items()}
    plain = {key: text.encode() for key, text in (found.get("data") or {}).items()}
    return plain | {key: base64.b64decode(text) for key, text in (found.get("binaryData") or {}).items()}


def build(
    pod: Object,
    container: Object,
    base: Mapping[str, str],
    objects: Mapping[tuple[str, str], Object | None],
    host_ip: str,
    pod_ip: str,
) -> dict[str, str]:
    """The variables the pod's spec gives a container, after `base` (the service variables).

    `objects` holds what `references` named, None where it does not exist.
    Raises ConfigError for a missing object or key that is not optional, and for a source that is not served.
    """
    made = dict(base)

    def entries(kind: str, source: Object) -> Mapping[str, bytes]:
        found = objects[kind, source["name"]]
        if found is None:
            if source.get("optional"):
                return {}
            raise ConfigError(f'{kind.removesuffix("s")} "{source["name"]}" not found')
        return content(found)

    for source in container.get("envFrom", ()):
        for member, kind in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            if member in source:
                for key, data in entries(kind, source[member]).items():
                    made[source.get("prefix", "") + key] = data.decode()
    for item in container.get("env", ()):
        origin = item.get("valueFrom") or {}
        if not origin:
            made[item["name"]] = expand(item.get("value", ""), made)
        elif "fieldRef" in origin:
            try:
                made[item["name"]] = fields.value(pod, origin["fieldRef"]["fieldPath"], host_ip, pod_ip)
            except ValueError as error:
                raise ConfigError(str(error)) from None
        elif "configMapKeyRef" in origin or "secretKeyRef" in origin:
            kind, member = (
                ("secrets", "secretKeyRef") if "secretKeyRef" in origin else ("configmaps", "configMapKeyRef")
            )
            source = origin[member]
            found = entries(kind, source)
            if source["key"] in found:
                made[item["name"]] = found[source["key"]].decode()
            elif not source.get("optional"):
                raise ConfigError(f'couldn\'t find key {source["key"]} in "{source["name"]}"')
        else:
            raise ConfigError(f"{', '.join(origin)} of variable {item['name']} is not served by the pod runner")
    return made


def command_line(container: Object, image: Image, variables: Mapping[str, str]) -> Sequence[str]:
    """The process to start (Kubernetes: "Define a Command and Arguments"). Raises ConfigError when there is none."""
    command = [expand(text, variables) for text in container.get("command", ())]
    arguments = [expand(text, variables) for text in container.get("args", ())]
    line = [*(command or image.entrypoint), *(arguments or ([] if command else image.cmd))]
    if not line:
        raise ConfigError("no command specified: neither the container nor its image has one")
    return line


def identity(pod: Object, container: Object, image: Image) -> tuple[int, int]:
    """The (uid, gid) the container runs as. Raises ConfigError where `runAsNonRoot` forbids it."""
    both = (container.get("securityContext") or {}, pod["spec"].get("securityContext") or {})

    def setting(name: str) -> Any:
        return next((source[name] for source in both if source.get(name) is not None), None)

    uid = setting("runAsUser")
    uid = image.user if uid is None else uid
    if setting("runAsNonRoot") and uid == 0:
        raise ConfigError("container has runAsNonRoot and image will run as root")
    return int(uid), int(setting("runAsGroup") or 0)
