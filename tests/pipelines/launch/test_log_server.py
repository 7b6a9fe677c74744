"""Ranks' log lines are received on the driver's address alone."""

import socket
import sys
import time
from io import StringIO
from struct import pack

import pytest
from pyspark.ml.torch import distributor

from pipelines.launch import log_server


def test_the_server_listens_on_no_other_address(monkeypatch: pytest.MonkeyPatch) -> None:
    output = StringIO()
    monkeypatch.setattr(sys, "stderr", output)
    server = log_server.LogServer()
    server.start(spark_host_address="127.0.0.1")
    try:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", server.port), timeout=5)
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as rank:
            rank.sendall(pack(">i", 5) + b"hello")
            deadline = time.monotonic() + 10
            while not output.getvalue():
                assert time.monotonic() < deadline
                time.sleep(0.01)
    finally:
        server.shutdown()
    assert output.getvalue() == "hello\n"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port or 0), timeout=5)


def test_torchdistributor_starts_our_server_only_during_a_launch() -> None:
    original = distributor.LogStreamingServer
    with log_server.listen_on_one_address():
        assert distributor.LogStreamingServer is log_server.LogServer
    assert distributor.LogStreamingServer is original
