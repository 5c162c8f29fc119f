"""The process that is a pod from the inside: it holds the namespaces and starts the containers (a runtime's "shim").

Run as a script with the standard library only (`python -I -S inside.py FD`), so that it starts in some 20 ms.
It is driven over the SOCK_SEQPACKET socket FD, one JSON object a message; `sandbox.py` is the other end.
When that socket closes — the runner ended, in whatever way — everything in the pod ends with it: the process is
number 1 of the pod's PID namespace, and the kernel kills a PID namespace with its first process.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import struct
import sys
from typing import Any, NoReturn

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_MOVE, MS_REC = 1, 2, 4, 8, 32, 4096, 8192, 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
SIOCSIFADDR, SIOCSIFFLAGS, SIOCSIFNETMASK = 0x8916, 0x8914, 0x891C

# Other runtimes keep hundreds of mounts here; no container of ours has business with them.
FOREIGN = ("/var/lib/docker", "/var/lib/containers", "/var/lib/containerd", "/var/lib/kubelet", "/run", "/var/run")
KERNEL = ("/proc", "/sys", "/dev")

Message = dict[str, Any]
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def setns(path: str, kind: int) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(fd, kind), f"setns {os.path.basename(path)}")
    finally:
        os.close(fd)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    names = os.fsencode(source), os.fsencode(target), kind.encode()
    _check(_libc.mount(*names, ctypes.c_ulong(flags), options.encode()), f"mount {target}")


def map_ids(uid: int, gid: int, outer_uid: int, outer_gid: int) -> None:
    """Makes the caller `uid`:`gid` in the user namespace it just entered; an ordinary user may map one pair only."""
    with open("/proc/self/setgroups", "w") as file:
        file.write("deny")
    with open("/proc/self/uid_map", "w") as file:
        file.write(f"{uid} {outer_uid} 1")
    with open("/proc/self/gid_map", "w") as file:
        file.write(f"{gid} {outer_gid} 1")


def configure_loopback(addresses: list[tuple[str, str]]) -> None:
    """Brings lo up and adds (address, netmask) pairs to it.

    A network on lo makes every address of it local, as 127.0.0.1/8 does: one entry serves all routes.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", 0x1))
        for number, (address, netmask) in enumerate(addresses, 1):
            name = f"lo:{number}".encode()
            for request, value in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, netmask)):
                packed = struct.pack("16sHH4s8x", name, socket.AF_INET, 0, socket.inet_aton(value))
                fcntl.ioctl(control, request, packed)
    with contextlib.suppress(OSError), open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w") as file:
        file.write("0")  # as container runtimes do: a container may listen on 443 without being root


# ------------------------------------------------------------------------------------------ a container's file system


def mount_points() -> list[str]:
    with open("/proc/self/mountinfo") as file:
        return [line.split()[4].replace("\\040", " ") for line in file]


def copy_tree(source: str, target: str, scratch: str, points: list[str], made: list[str]) -> None:
    """Mirrors `source` at `target` so that nothing written there reaches the host.

    Directories become overlays. A directory with foreign mounts below it cannot: the kernel refuses to reveal what a
    locked mount covers, so that level is rebuilt entry by entry. Appends to `made` what a read-only root must cover.
    """
    for entry in os.scandir(source):
        with contextlib.suppress(FileNotFoundError):  # others on the machine remove their files meanwhile
            copy_entry(entry, os.path.join(target, entry.name), scratch, points, made)


def copy_entry(entry: os.DirEntry[str], there: str, scratch: str, points: list[str], made: list[str]) -> None:
    here = entry.path
    if entry.is_symlink():
        os.symlink(os.readlink(here), there)
    elif here in KERNEL:
        os.mkdir(there)
        mount(here, there, flags=MS_BIND | MS_REC)
    elif here in FOREIGN:
        os.mkdir(there)
    elif entry.is_dir():
        os.mkdir(there)
        if any(point.startswith(here + "/") for point in points):
            with contextlib.suppress(PermissionError):
                copy_tree(here, there, scratch, points, made)
            return
        try:
            overlay(here, there, os.path.join(scratch, str(len(made))))
        except OSError:
            if not show(here, there):
                return
        made.append(there)
    elif entry.is_file():
        os.close(os.open(there, os.O_CREAT | os.O_WRONLY, 0o644))
        mount(here, there, flags=MS_BIND)
        made.append(there)


def show(here: str, there: str) -> bool:
    """What cannot lie under an overlay (another root's proc, some network file systems), read-only; else nothing."""
    try:
        mount(here, there, flags=MS_BIND | MS_REC)
    except OSError:
        return False
    try:
        read_only(there)
    except OSError:
        _check(_libc.umount2(os.fsencode(there), MNT_DETACH), f"umount {there}")
        return False
    return True


def overlay(lower: str, target: str, scratch: str) -> None:
    os.makedirs(scratch + "/upper")
    os.makedirs(scratch + "/work")
    os.chmod(scratch + "/upper", os.stat(lower).st_mode & 0o7777)
    options = f"lowerdir={lower},upperdir={scratch}/upper,workdir={scratch}/work"
    try:
        mount("overlay", target, "overlay", options=options + ",userxattr")
    except OSError:  # a tmpfs before Linux 6.6 has no user.* attributes; without them only renames of directories fail
        mount("overlay", target, "overlay", options=options)


def read_only(target: str) -> None:
    # A remount must repeat what the mount already forbids, or a user namespace is refused.
    have = os.statvfs(target).f_flag
    keep = sum(flag for flag in (MS_NOSUID, MS_NODEV, MS_NOEXEC) if have & flag)
    mount("none", target, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | keep)


def place(source: str, target: str, read_only_mount: bool) -> None:
    """Bind-mounts `source` at `target`; a missing source is a subPath, which the kubelet makes a directory."""
    if not os.path.exists(source):
        os.makedirs(source)
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.exists(target):
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(source, target, flags=MS_BIND | MS_REC)
    if read_only_mount:
        read_only(target)


def enter_root(pod: str, order: Message) -> None:
    """Gives the calling process a root of its own: the host's files copy-on-write, the pod's volumes on top."""
    unshare(CLONE_NEWNS)
    root, scratch = pod + "/root", pod + "/scratch"
    mount("tmpfs", scratch, "tmpfs", options="mode=755")
    mount("tmpfs", root, "tmpfs", options="mode=755")
    made: list[str] = []
    # What this process itself mounted for the pod is not locked, and none of the container's business.
    copy_tree("/", root, scratch, [point for point in mount_points() if not point.startswith(pod + "/")], made)
    mount("tmpfs", root + "/run", "tmpfs", options="mode=755")
    os.mkdir(root + "/.pod")
    mount(pod, root + "/.pod", flags=MS_BIND | MS_REC)
    os.chdir(root)
    mount(".", "/", flags=MS_MOVE)
    os.chroot(".")
    os.chdir("/")
    for name in ("hosts", "hostname", "resolv.conf"):
        if os.path.islink("/etc/" + name):
            os.unlink("/etc/" + name)
        place(f"/.pod/etc/{name}", f"/etc/{name}", False)
    for item in sorted(order["mounts"], key=lambda item: str(item["path"])):
        place("/.pod/volumes/" + item["source"], item["path"], item["readOnly"])
    os.makedirs(order["cwd"], exist_ok=True)
    _check(_libc.umount2(b"/.pod", MNT_DETACH), "umount")
    os.rmdir("/.pod")
    if order["readOnlyRoot"]:
        inside = [path.removeprefix(root) for path in made]
        for path in ["/", "/run", *inside]:
            if path not in {item["path"] for item in order["mounts"]}:
                read_only(path)


# -------------------------------------------------------------------------------------------------- the pod's process


class Pod:
    """Serves the runner's orders until its socket closes. `directory` is the pod's, on the host."""

    def __init__(self, link: socket.socket, directory: str, isolated: bool) -> None:
        self.link = link
        self.directory = directory
        self.isolated = isolated
        self.running: set[int] = set()
        self.linked: list[str] = []
        self.made: list[str] = []
        self.keep_logs = False

    def serve(self) -> None:
        ready, wake = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(ignored, signal.SIG_IGN)  # only the runner's socket ends a pod
        while True:
            readable, _, _ = select.select([self.link, ready], [], [])
            if ready in readable:
                ready.recv(4096)
                self.reap()
            if self.link in readable:
                data = self.link.recv(1 << 20)
                if not data:
                    signal.set_wakeup_fd(-1)  # its socket is closed before the last child has ended
                    return
                self.answer(json.loads(data))

    def answer(self, order: Message) -> None:
        reply: Message = {"id": order.get("id")}
        descriptors: list[int] = []
        made: socket.socket | None = None
        try:
            if order["op"] in ("start", "exec"):
                reply["pid"] = self.start(order)
            elif order["op"] == "signal":
                self.signal(order["pid"], order["signal"])
            elif order["op"] == "socket":
                made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                if "listen" in order:
                    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    made.bind((order["listen"][0], order["listen"][1]))
                    made.listen(64)
                descriptors = [made.fileno()]
            elif order["op"] == "close":
                self.keep_logs = True
        except (OSError, ValueError) as error:
            reply["error"] = str(error)
        with contextlib.suppress(OSError):  # the runner may be gone; the next read says so
            socket.send_fds(self.link, [json.dumps(reply).encode()], descriptors)
        if made is not None:
            made.close()

    def signal(self, pid: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(pid, number)
            else:
                os.kill(pid, number)  # as a runtime does: the container's main process alone gets SIGTERM

    def reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self.running:
                self.running.discard(pid)
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)  # a container ends with its first process
                message = json.dumps({"exited": pid, "code": os.waitstatus_to_exitcode(status)})
                with contextlib.suppress(OSError):
                    self.link.send(message.encode())

    def start(self, order: Message) -> int:
        """Starts a container's process, or one more in it; returns its id in this namespace.

        Raises OSError with the step that failed (a missing program, a mount that is not possible).
        """
        outputs = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640) for path in order["outputs"]]
        if not self.isolated and order["op"] == "start":
            self.link_volumes(order)
        report, failed = os.pipe()
        pid = os.fork()
        if pid == 0:
            self.become(order, outputs, failed)
        for fd in [*outputs, failed]:
            os.close(fd)
        with os.fdopen(report, "rb") as pipe:
            problem = pipe.read().decode()
        if problem:
            os.waitpid(pid, 0)
            raise OSError(problem)
        self.running.add(pid)
        return pid

    def become(self, order: Message, outputs: list[int], failed: int) -> NoReturn:
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            null = os.open("/dev/null", os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(outputs[0], 1)
            os.dup2(outputs[-1], 2)
            if self.isolated:
                if order["op"] == "exec":
                    self.join(order["container"])
                else:
                    enter_root(self.directory, order)
                    # A user namespace of its own: the container's uid, and no power over the pod's network or mounts.
                    outer = os.getuid(), os.getgid()
                    unshare(CLONE_NEWUSER)
                    map_ids(order["uid"], order["gid"], *outer)
            os.chdir(order["cwd"])
            os.umask(0o022)
            try:
                os.execvpe(order["argv"][0], order["argv"], order["env"])  # noqa: S606 - a shell is not what the pod asked for
            except FileNotFoundError:
                raise OSError(f"executable file {order['argv'][0]!r} not found in $PATH") from None
        except BaseException as error:  # whatever it is, the runner has to hear of it and this copy must not go on
            os.write(failed, (str(error) or repr(error)).encode())
        os._exit(128)

    @staticmethod
    def join(pid: int) -> None:
        setns(f"/proc/{pid}/ns/mnt", CLONE_NEWNS)
        setns(f"/proc/{pid}/ns/user", CLONE_NEWUSER)

    def link_volumes(self, order: Message) -> None:
        """Without namespaces a volume is a symbolic link at its real path, taken away when the pod ends.

        The file ``links`` says which, for `leftovers.clear` should this process be killed.
        """
        for item in order["mounts"]:
            target, path = os.path.join(self.directory, "volumes", item["source"]), item["path"].rstrip("/")
            if path in self.linked and os.readlink(path) == target:
                continue
            if os.path.lexists(path):
                raise OSError(f"{path} exists on this machine, and there are no mount namespaces to cover it")
            parent, missing = os.path.dirname(path), []
            while not os.path.isdir(parent):
                missing.append(parent)
                parent = os.path.dirname(parent)
            self.made += reversed(missing)
            self.linked.append(path)
            with open(os.path.join(self.directory, "links"), "w") as file:
                json.dump({"links": self.linked, "made": self.made}, file)
            for directory in reversed(missing):
                os.mkdir(directory)
            os.symlink(target, path)

    def end(self) -> None:
        for pid in self.running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        if not self.isolated:
            kill_descendants()
            for path in self.linked:
                with contextlib.suppress(OSError):
                    os.unlink(path)
            for path in reversed(self.made):
                with contextlib.suppress(OSError):
                    os.rmdir(path)


def kill_descendants() -> None:
    """Ends what left its process group; as a subreaper this process is the parent of all that is orphaned."""
    while True:
        with contextlib.suppress(OSError), open(f"/proc/self/task/{os.getpid()}/children") as file:
            for pid in file.read().split():
                os.kill(int(pid), signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def set_up(directory: str, order: Message) -> None:
    """Makes the pod's namespaces complete: hostname, loopback, memory volumes."""
    socket.sethostname(order["hostname"])
    configure_loopback([(address, mask) for address, mask in order["addresses"]])
    mount("none", "/", flags=MS_PRIVATE | MS_REC)
    mount("proc", "/proc", "proc", flags=MS_NOSUID | MS_NODEV | MS_NOEXEC)  # of the pod's own PID namespace
    for name, options in order["memory"].items():
        mount("tmpfs", f"{directory}/volumes/{name}", "tmpfs", options=options)


def main() -> int:
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # what the runner blocks is no concern of the containers
    link = socket.socket(fileno=int(sys.argv[1]))
    order = json.loads(link.recv(1 << 20))
    directory, isolated = order["directory"], order["isolated"]
    link.set_inheritable(False)
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if isolated:
        outer = os.getuid(), os.getgid()
        try:
            unshare(CLONE_NEWUSER | CLONE_NEWPID)
            map_ids(0, 0, *outer)
        except OSError as error:
            link.send(json.dumps({"error": str(error)}).encode())
            return 1
    pod = Pod(link, directory, isolated)
    child = os.fork()
    if child == 0:
        try:
            _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
            if isolated:
                unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)
                set_up(directory, order)
            else:
                _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            link.send(json.dumps({"ready": True}).encode())
        except OSError as error:
            link.send(json.dumps({"error": str(error)}).encode())
            os._exit(1)
        try:
            pod.serve()
        finally:
            pod.end()
            os._exit(0 if pod.keep_logs else 3)
    link.close()
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    _, status = os.waitpid(child, 0)
    shutil.rmtree(directory, ignore_errors=True)
    if os.waitstatus_to_exitcode(status) != 0:  # the runner did not end this pod: nobody is left to read its logs
        shutil.rmtree(order["logs"], ignore_errors=True)
        for parent in order["parents"]:
            with contextlib.suppress(OSError):
                os.rmdir(parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
