"""TorchDistributor's log server, on the driver's address alone: its own listens on all addresses of the machine."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.ml.torch import distributor
from pyspark.ml.torch.log_communication import LogStreamingServer, WriteLogToStdout

POLL_S = 0.1  # as TorchDistributor's own


class Server(LogStreamingServer):  # type: ignore[misc]
    """Prints the lines that ranks send; it does not know who sends them."""

    def start(self, spark_host_address: str = "") -> None:
        """Listen on that address, which is spark.driver.host, and on a free port of it.

        Raises:
            OSError: the address is none of this machine's; TorchDistributor then goes on without ranks' lines.
        """
        # The port is ours from the moment that it is chosen: TorchDistributor looks for one first and binds it later.
        server = socketserver.ThreadingTCPServer((spark_host_address, 0), WriteLogToStdout)
        server.is_active = True  # type: ignore[attr-defined]
        self.server, self.port = server, server.server_address[1]
        self.serve_thread = threading.Thread(target=_serve, args=(server,), daemon=True)
        self.serve_thread.start()


def _serve(server: socketserver.ThreadingTCPServer) -> None:
    with server:
        server.serve_forever(poll_interval=POLL_S)


@contextmanager
def on_one_address() -> Iterator[None]:
    """While the block runs, TorchDistributor starts our server."""
    original = distributor.LogStreamingServer
    distributor.LogStreamingServer = Server
    try:
        yield
    finally:
        distributor.LogStreamingServer = original
