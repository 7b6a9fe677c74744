"""What a job says of a file system that is away or full; tests/cluster/test_faults.py has it from a real HDFS."""

from pathlib import Path

import pytest
from hdfs_native import Client

from pipelines.job import outages
from tests.cluster.daemons import free_port
from tests.cluster.sites import IMPATIENT


def test_a_name_node_that_does_not_answer() -> None:
    with pytest.raises(OSError, match="refused") as refused:
        Client(f"hdfs://127.0.0.1:{free_port()}", IMPATIENT).get_file_info("/")
    assert outages.told(refused.value) == "HDFS does not answer"
    above = RuntimeError("the lake cannot be read")
    above.__cause__ = refused.value
    assert outages.told(above) == "HDFS does not answer", "causes count"


def test_a_host_that_nobody_knows() -> None:
    with pytest.raises(OSError, match="lookup") as unknown:
        Client("hdfs://nobody.invalid:9000", IMPATIENT).get_file_info("/")
    assert outages.told(unknown.value) == "HDFS does not answer"


def test_a_full_disk() -> None:
    with pytest.raises(OSError, match="No space left") as full:
        Path("/dev/full").write_text("x")
    assert outages.told(full.value) == "a local disk is full"


def test_ranks_that_lose_each_other_are_no_outage() -> None:
    assert outages.told(RuntimeError("connect [127.0.0.1]:29500: Connection refused")) is None


def test_errors_that_were_raised_from_each_other() -> None:
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__cause__, second.__cause__ = second, first
    assert outages.told(first) is None
