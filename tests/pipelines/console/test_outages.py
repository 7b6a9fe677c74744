"""A file system that is away or full is described in a sentence; tests/cluster/test_faults.py has a real HDFS."""

from pathlib import Path

import pytest
from hdfs_native import Client

from pipelines.console.outages import describe_outage
from tests.cluster.daemons import free_port
from tests.cluster.sites import IMPATIENT


def test_a_name_node_that_does_not_answer_is_an_outage() -> None:
    with pytest.raises(OSError, match="refused") as refused:
        Client(f"hdfs://127.0.0.1:{free_port()}", IMPATIENT).get_file_info("/")
    assert describe_outage(refused.value) == "HDFS does not answer"
    caused = RuntimeError("the lake cannot be read")
    caused.__cause__ = refused.value
    assert describe_outage(caused) == "HDFS does not answer"


def test_an_unknown_host_is_an_outage() -> None:
    with pytest.raises(OSError, match="lookup") as unknown:
        Client("hdfs://nobody.invalid:9000", IMPATIENT).get_file_info("/")
    assert describe_outage(unknown.value) == "HDFS does not answer"


def test_a_full_disk_is_an_outage() -> None:
    with pytest.raises(OSError, match="No space left") as full:
        Path("/dev/full").write_text("x")
    assert describe_outage(full.value) == "a local disk is full"


def test_ranks_that_lose_each_other_are_no_outage() -> None:
    assert describe_outage(RuntimeError("connect [127.0.0.1]:29500: Connection refused")) is None


def test_a_circular_chain_of_causes_ends() -> None:
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__cause__, second.__cause__ = second, first
    assert describe_outage(first) is None
