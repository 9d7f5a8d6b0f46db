"""A proxy before a server, on real sockets, that can stop forwarding: both ends then see silence.

That is a server that hangs, or a way to it that swallows everything: nothing is refused or closed.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class Proxy:
    """What goes through it, and when it stops."""

    def __init__(self, reach: Callable[[], socket.socket]) -> None:
        """`reach` makes a connection to the server."""
        self.reach = reach
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.frozen = threading.Event()
        self.freeze_at: bytes | None = None
        """Freezes when a client sends this."""
        self.connections: list[socket.socket] = []

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.connections.append(client)
                if self.frozen.is_set():
                    # Taken by the machine, and never by the server.
                    continue
                server = self.reach()
                self.connections.append(server)
                for source, target in ((client, server), (server, client)):
                    threading.Thread(
                        target=self.forward, args=(source, target, source is client), daemon=True
                    ).start()

    def forward(self, source: socket.socket, target: socket.socket, asks: bool) -> None:
        with suppress(OSError):
            while content := source.recv(1 << 16):
                if asks and self.freeze_at and self.freeze_at in content:
                    self.frozen.set()
                if self.frozen.is_set():
                    # What is not read any more fills the buffers of both ends.
                    return
                target.sendall(content)
            if not self.frozen.is_set():
                target.shutdown(socket.SHUT_WR)


@contextmanager
def proxy_before(reach: Callable[[], socket.socket]) -> Iterator[Proxy]:
    """A proxy that forwards; at the end, all of its connections are closed."""
    proxy = Proxy(reach)
    threading.Thread(target=proxy.serve, daemon=True).start()
    try:
        yield proxy
    finally:
        # Closing alone would not wake a thread that reads.
        for connection in (proxy.listener, *proxy.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()


def at(host: str, port: int) -> Callable[[], socket.socket]:
    """Reaches a server by its address."""
    return lambda: socket.create_connection((host, port))


def at_socket(path: str) -> Callable[[], socket.socket]:
    """Reaches a server by a socket in the file system."""

    def reach() -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(path)
        return connection

    return reach
