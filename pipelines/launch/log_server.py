"""A log server for TorchDistributor that listens on the driver's address alone, where its own listens on all."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.ml.torch import distributor
from pyspark.ml.torch.log_communication import LogStreamingServer, WriteLogToStdout

POLL_S = 0.1  # as in TorchDistributor's own server


class LogServer(LogStreamingServer):  # type: ignore[misc]
    """Prints the lines that ranks send; it does not authenticate the senders."""

    def start(self, spark_host_address: str = "") -> None:
        """Listen on a free port of this address, which is spark.driver.host.

        Raises:
            OSError: the address does not belong to this machine; TorchDistributor then continues without ranks' lines.
        """
        # The port is bound at once. TorchDistributor's own server looks for a free port first and binds it later.
        server = socketserver.ThreadingTCPServer((spark_host_address, 0), WriteLogToStdout)
        server.is_active = True  # type: ignore[attr-defined]
        self.server, self.port = server, server.server_address[1]
        self.serve_thread = threading.Thread(target=_serve, args=(server,), daemon=True)
        self.serve_thread.start()


def _serve(server: socketserver.ThreadingTCPServer) -> None:
    with server:
        server.serve_forever(poll_interval=POLL_S)


@contextmanager
def listen_on_one_address() -> Iterator[None]:
    """While the block runs, TorchDistributor starts `LogServer` instead of its own."""
    original = distributor.LogStreamingServer
    distributor.LogStreamingServer = LogServer
    try:
        yield
    finally:
        distributor.LogStreamingServer = original
