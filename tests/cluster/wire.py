"""A relay between a driver and those who connect to it, which records all bytes that pass."""

import socket
import threading
from contextlib import suppress
from typing import Self


class Wire:
    """Listens at `outside` for each port and passes all on to the same port at `inside`; both are loopback addresses.

    A driver with spark.driver.bindAddress=inside and spark.driver.host=outside is reached through the relay only. This
    needs no privileges, unlike a packet capture.
    """

    inside, outside = "127.0.0.1", "127.0.0.2"

    def __init__(self, ports: tuple[int, ...]) -> None:
        self.ports = ports
        self.streams: list[bytearray] = []  # one for each connection and direction, so that no word is split
        self.sockets = [socket.create_server((self.outside, port)) for port in ports]

    def __enter__(self) -> Self:
        for listener in tuple(self.sockets):
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.sockets:
            # A thread that waits in it wakes up.
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    @property
    def total(self) -> int:
        """The number of bytes that have passed."""
        return sum(map(len, self.streams))

    def saw(self, word: str) -> bool:
        """Whether a word has passed in clear text."""
        return any(word.encode() in stream for stream in self.streams)

    def _accept(self, listener: socket.socket) -> None:
        port = listener.getsockname()[1]
        with suppress(OSError):  # closed
            while True:
                near, _ = listener.accept()
                far = socket.create_connection((self.inside, port))
                self.sockets += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        stream = bytearray()
        self.streams.append(stream)
        with suppress(OSError):  # one side is gone
            while part := source.recv(65536):
                stream += part
                target.sendall(part)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
