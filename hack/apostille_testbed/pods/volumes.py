"""A pod's volumes on disk, with the kubelet's contents, modes and atomic updates."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apostille_testbed.pods import environment, fields
from apostille_testbed.pods.api import Api, ApiError, Object
from apostille_testbed.pods.tokens import Tokens


class VolumeError(Exception):
    """A volume cannot be set up; the message is what the kubelet's FailedMount Event says."""


@dataclass(frozen=True)
class File:
    content: bytes
    mode: int


Payload = Mapping[str, File]
_SOURCES = ("projected", "downwardAPI", "configMap", "secret")


def memory(pod: Object) -> dict[str, str]:
    """tmpfs options of the volumes that live in memory, by name."""
    found = {}
    for volume in pod["spec"].get("volumes", ()):
        source = volume.get("emptyDir")
        if source is not None and source.get("medium") == "Memory":
            size = str(source.get("sizeLimit", "")).removesuffix("i").removesuffix("B").lower()
            # tmpfs knows k, m and g; another spelling of a quantity goes without a limit.
            limited = size and (size.isdigit() or (size[:-1].isdigit() and size[-1] in "kmg"))
            found[volume["name"]] = f"mode={directory_mode(pod):o}" + (f",size={size}" if limited else "")
    return found


def directory_mode(pod: Object) -> int:
    """The mode of an emptyDir (pkg/volume/emptydir; volume.SetVolumeOwnership)."""
    return 0o2777 if _fs_group(pod) else 0o777


def file_mode(pod: Object, mode: int) -> int:
    """The mode of a file the kubelet writes: fsGroup lets its group read it (volume.SetVolumeOwnership).

    One user namespace has one uid and gid, so owner and group are right by themselves.
    """
    return mode | 0o440 if _fs_group(pod) else mode


def token_mode(pod: Object, default: int) -> int:
    """The mode of a token file before `file_mode`: 0600 with fsGroup or a uniform runAsUser (pkg/volume/projected)."""
    spec = pod["spec"]
    shared = (spec.get("securityContext") or {}).get("runAsUser")
    containers = [*spec.get("initContainers", ()), *spec["containers"]]
    users = {(container.get("securityContext") or {}).get("runAsUser", shared) for container in containers}
    uniform = len(users) == 1 and None not in users
    return 0o600 if uniform or _fs_group(pod) else default


def _fs_group(pod: Object) -> bool:
    return (pod["spec"].get("securityContext") or {}).get("fsGroup") is not None


class Volumes:
    """The volumes of one pod below `directory`. `sync` makes and updates them."""

    def __init__(self, api: Api, directory: Path, tokens: Tokens, host_ip: str, pod_ip: str) -> None:
        self._api = api
        self._directory = directory
        self._tokens = tokens
        self._ips = (host_ip, pod_ip)

    async def sync(self, pod: Object) -> dict[str, str]:
        """Brings every volume up to date; returns the message for each that could not be, by volume name.

        A volume that fails keeps what it had; the others go on.
        """
        failures = {}
        for volume in pod["spec"].get("volumes", ()):
            try:
                await self._set_up(pod, volume)
            except (VolumeError, ApiError) as error:
                failures[volume["name"]] = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}'
        return failures

    async def _set_up(self, pod: Object, volume: Object) -> None:
        path = self._directory / volume["name"]
        if "emptyDir" in volume:
            if not path.exists():
                path.mkdir(parents=True)
                path.chmod(directory_mode(pod))
            return
        kind = next((name for name in _SOURCES if name in volume), None)
        if kind is None:
            unknown = ", ".join(set(volume) - {"name"})
            raise VolumeError(f"volume type {unknown} is not served by the pod runner")
        source = volume[kind]
        default = int(source.get("defaultMode", 0o644))
        if kind == "projected":
            payload: dict[str, File] = {}
            for part in source.get("sources", ()):
                payload.update(await self._project(pod, part, default))
        else:
            payload = await self._project(pod, {kind: source}, default)
        write(path, {name: File(file.content, file_mode(pod, file.mode)) for name, file in payload.items()})

    async def _project(self, pod: Object, part: Object, default: int) -> dict[str, File]:
        if token := part.get("serviceAccountToken"):
            text = await self._tokens.get(token)
            return {token["path"]: File(text.encode(), token_mode(pod, default))}
        if "downwardAPI" in part:
            return self._downward(pod, part["downwardAPI"], default)
        for member, kind in (("configMap", "configmaps"), ("secret", "secrets")):
            if member in part:
                return await self._object(pod["metadata"]["namespace"], kind, part[member], default)
        raise VolumeError(f"projected source {', '.join(part)} is not served by the pod runner")

    def _downward(self, pod: Object, source: Object, default: int) -> dict[str, File]:
        made = {}
        for item in source.get("items", ()):
            if "fieldRef" not in item:
                raise VolumeError("resourceFieldRef is not served by the pod runner")
            try:
                text = fields.value(pod, item["fieldRef"]["fieldPath"], *self._ips)
            except ValueError as error:
                raise VolumeError(str(error)) from None
            made[item["path"]] = File(text.encode(), int(item.get("mode", default)))
        return made

    async def _object(self, namespace: str, kind: str, source: Object, default: int) -> dict[str, File]:
        name = source.get("name") or source.get("secretName")
        optional = bool(source.get("optional"))
        try:
            content = environment.content(await self._api.get(f"/api/v1/namespaces/{namespace}/{kind}/{name}"))
        except ApiError as error:
            if error.status == 404 and optional:
                return {}
            raise
        if not source.get("items"):
            return {key: File(data, default) for key, data in content.items()}
        made = {}
        for item in source["items"]:
            if item["key"] in content:
                made[item["path"]] = File(content[item["key"]], int(item.get("mode", default)))
            elif not optional:
                raise VolumeError(f"references non-existent {kind.removesuffix('s')} key: {item['key']}")
        return made


def _same(current: str, payload: Payload) -> bool:
    found = {}
    for root, _, names in os.walk(current):
        for name in names:
            path = os.path.join(root, name)
            found[os.path.relpath(path, current)] = path
    if found.keys() != payload.keys():
        return False
    return all(_content(path) == payload[name].content for name, path in found.items())


def _content(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read()


def write(directory: Path, payload: Payload) -> None:
    """Replaces a volume's files in one step (pkg/volume/util/atomic_writer.go).

    The files live in a dated directory, `..data` links to it, the visible names link through `..data`: one rename
    changes all of them, and a reader sees the old or the new files, never a mixture.
    """
    # Simulations write a token tens of thousands of times: names are strings here, which cost a third of Paths.
    base = os.fspath(directory)
    os.makedirs(base, exist_ok=True)
    link, staged = f"{base}/..data", f"{base}/..data_tmp"
    old = os.readlink(link) if os.path.islink(link) else None
    if old is not None and _same(f"{base}/{old}", payload):
        return
    fresh = tempfile.mkdtemp(prefix="..", dir=base)
    Path(fresh).chmod(0o755)
    for name, file in payload.items():
        path = f"{fresh}/{name}"
        if "/" in name:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb", buffering=0) as made:
            made.write(file.content)
            os.fchmod(made.fileno(), file.mode)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(staged)
    os.symlink(os.path.basename(fresh), staged)
    os.rename(staged, link)
    wanted = {name.split("/")[0] for name in payload}
    present = {name for name in os.listdir(base) if not name.startswith("..")}
    for name in wanted - present:
        os.symlink(f"..data/{name}", f"{base}/{name}")
    for name in present - wanted:
        os.unlink(f"{base}/{name}")
    if old is not None:
        with contextlib.suppress(OSError):
            shutil.rmtree(f"{base}/{old}")


def source_of(mount: Object, variables: Mapping[str, Any]) -> str:
    """The path of a volumeMount's source below the volumes directory; `variables` expand a subPathExpr."""
    below = mount.get("subPath") or environment.expand(mount.get("subPathExpr", ""), variables)
    return f"{mount['name']}/{below}" if below else str(mount["name"])
