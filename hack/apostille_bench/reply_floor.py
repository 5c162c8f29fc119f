"""The floor of a reply on this machine: a program that reads what comes and sends one text, with nothing in between.

Run alone, with the standard library, as the sidecar is: ``python -I -S reply_floor.py PORT BYTES``.
"""

from __future__ import annotations

import select
import socket
import sys


def serve(port: int, size: int) -> None:
    """Answers on loopback, from one thread, until it is killed."""
    body = b'{"Token":"' + b"t" * (size - 12) + b'"}'
    reply = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    poll = select.epoll()
    poll.register(listener, select.EPOLLIN)
    connections: dict[int, socket.socket] = {}
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == listener.fileno():
                plain, _ = listener.accept()
                connections[plain.fileno()] = plain
                poll.register(plain, select.EPOLLIN)
            elif connections[descriptor].recv(16384):
                connections[descriptor].send(reply)
            else:
                poll.unregister(descriptor)
                connections.pop(descriptor).close()


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]))
