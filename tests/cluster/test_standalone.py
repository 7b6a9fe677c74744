"""A real standalone cluster: one master, two workers of one core each, every executor a process of its own."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil
import pytest

from tests.cluster.daemons import daemon, free_port, wait_until
from tests.conftest import last_json
from tests.jobs import ROOT, environment, small

pytestmark = pytest.mark.cluster

DEPLOY = "org.apache.spark.deploy"
LOOPBACK = ("--host", "127.0.0.1")
VARIABLES = {"SPARK_DAEMON_MEMORY": "256m"}  # of the daemons; executors have their own


@dataclass(frozen=True)
class Standalone:
    """The master's address, and the folder below which every executor works."""

    address: str
    folder: Path

    def executors(self) -> list[psutil.Process]:
        """Executors, Python workers and ranks: they stand in the workers' folders, whoever is their parent by now."""
        found = psutil.process_iter(["cwd"])
        return [process for process in found if (process.info["cwd"] or "").startswith(f"{self.folder}/")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """A cluster that both workers have joined. No process of it is left afterwards."""
    folder, port, page = tmp_path_factory.mktemp("standalone"), free_port(), free_port()
    address = f"spark://127.0.0.1:{port}"
    ports = ("--port", str(port), "--webui-port", str(page))
    with ExitStack() as stack:
        log = folder / "master.log"
        first = stack.enter_context(daemon(log, f"{DEPLOY}.master.Master", *LOOPBACK, *ports, **VARIABLES))
        wait_until(lambda: workers(page) == 0, first, log)
        daemons = [first, *(stack.enter_context(worker(folder / f"worker{number}", address)) for number in (1, 2))]
        wait_until(lambda: workers(page) == 2, first, log)
        started = Standalone(address, folder)
        yield started
    assert not [process for process in daemons if process.is_running()]
    assert not started.executors()


def worker(folder: Path, address: str) -> AbstractContextManager[psutil.Popen]:
    """A worker of one core, whose executors write below `folder`."""
    folder.mkdir()
    size = ("--cores", "1", "--memory", "1g", "--port", "0", "--webui-port", "0", "--work-dir", str(folder))
    return daemon(folder / "worker.log", f"{DEPLOY}.worker.Worker", *LOOPBACK, *size, address, **VARIABLES)


def workers(page: int) -> int | None:
    """How many workers the master has, by its own page; None as long as it has no page."""
    connection = HTTPConnection("127.0.0.1", page, timeout=10)
    try:
        connection.request("GET", "/json/")
        return int(json.loads(connection.getresponse().read())["aliveworkers"])
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both tests' documents and lake are: the second needs no table anew."""
    return tmp_path_factory.mktemp("text")


def submit(cluster: Standalone, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`spark-submit --master spark://… pipelines/train.py …`; the executors' half gigabyte fits the workers'."""
    command = ["spark-submit", "--master", cluster.address, "--conf", "spark.executor.memory=512m"]
    command += [str(ROOT / "pipelines" / "train.py"), *arguments]
    variables = environment() | {"SPARK_LOCAL_IP": "127.0.0.1"}
    return subprocess.run(command, cwd="/", env=variables, capture_output=True, text=True, check=False, timeout=300)


def assert_idle(cluster: Standalone) -> None:
    """The job's executors, and all that they started, have ended with it."""
    deadline = time.monotonic() + 30
    while left := cluster.executors():
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def test_two_ranks_on_two_workers(cluster: Standalone, folder: Path) -> None:
    done = submit(cluster, *small(folder), "train.ranks=2")
    assert done.returncode == 0, done.stderr[-3000:]
    report = last_json(done.stdout)
    assert report["train"]["ranks"] == 2
    assert report["metrics"]["test"]["accuracy"] == 1.0
    assert "epoch 3/3" in done.stderr, "a rank on a worker tells of its progress here"
    assert_idle(cluster)


def test_more_ranks_than_workers_are_told_of(cluster: Standalone, folder: Path) -> None:
    done = submit(cluster, *small(folder), "train.ranks=3", "train.slots_s=5")
    assert done.returncode == 2, done.stderr[-3000:]
    assert done.stderr.strip().splitlines()[-1] == "textmill: train.ranks=3 needs as many free task slots; Spark has 2"
    assert_idle(cluster)
