"""A token service that grants everything at once, over TLS: what is measured is who asks."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path
from urllib.parse import parse_qs

from apostille_testbed.parties.tls import Authority

_REPLY = (
    '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>'
    "<Credentials><AccessKeyId>ASIA{number:016}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey>"
    "<SessionToken>{token}</SessionToken><Expiration>{end}</Expiration></Credentials>"
    "<AssumedRoleUser><Arn>arn:aws:sts::{account}:assumed-role/{role}/{session}</Arn></AssumedRoleUser>"
    "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
)


class CannedSTS:
    """Listens on loopback until it is closed."""

    def __init__(self, directory: Path) -> None:
        authority = Authority(directory)
        self.ca = authority.pem
        self._tls = authority.server(["127.0.0.1"])
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}/"
        self._number = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), plain:
                plain.settimeout(10)
                with self._tls.wrap_socket(plain, server_side=True) as connection:
                    received = b""
                    while b"WebIdentityToken=" not in received and (part := connection.recv(65536)):
                        received += part
                    connection.sendall(self._reply(received))
                    with contextlib.suppress(OSError):
                        connection.unwrap()

    def _reply(self, received: bytes) -> bytes:
        form = parse_qs(received.partition(b"\r\n\r\n")[2].decode())
        self._number += 1
        role = form["RoleArn"][0].split(":")
        body = _REPLY.format(
            number=self._number,
            secret="s" * 40,
            token="t" * 900,
            end=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600)),
            account=role[4],
            role=role[5].rpartition("/")[2],
            session=form["RoleSessionName"][0],
        ).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n"
        return head.encode() + body
