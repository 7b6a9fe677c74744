"""The log server's address."""

import socket
import sys
import time
from io import StringIO
from struct import pack

import pytest
from pyspark.ml.torch import distributor

from pipelines.launch import log_server


def test_it_listens_on_its_address_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    told = StringIO()
    monkeypatch.setattr(sys, "stderr", told)
    server = log_server.Server()
    server.start(spark_host_address="127.0.0.1")
    try:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", server.port), timeout=5)
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as rank:
            rank.sendall(pack(">i", 5) + b"hello")
            deadline = time.monotonic() + 10
            while not told.getvalue():
                assert time.monotonic() < deadline
                time.sleep(0.01)
    finally:
        server.shutdown()
    assert told.getvalue() == "hello\n"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port or 0), timeout=5)


def test_torchdistributor_starts_it_during_a_launch_alone() -> None:
    original = distributor.LogStreamingServer
    with log_server.on_one_address():
        assert distributor.LogStreamingServer is log_server.Server
    assert distributor.LogStreamingServer is original
