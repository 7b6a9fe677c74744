"""A standalone cluster on this machine: one master, two workers of one core each, each executor a process."""

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import psutil

from tests.cluster.daemons import daemon, free_port, wait_until
from tests.jobs import ROOT, environment

DEPLOY = "org.apache.spark.deploy"
LOOPBACK = ("--host", "127.0.0.1")
VARIABLES = {"SPARK_DAEMON_MEMORY": "256m"}  # of the daemons; executors have their own


@dataclass(frozen=True)
class Standalone:
    """The master's address, the port of its web page, and the folder below which every executor works."""

    address: str
    page: int
    folder: Path

    def executors(self) -> list[psutil.Process]:
        """Executors, Python workers and ranks, which work in the workers' folders even as orphans."""
        processes = psutil.process_iter(["cwd"])
        return [process for process in processes if (process.info["cwd"] or "").startswith(f"{self.folder}/")]

    def command(self, *arguments: str, options: tuple[str, ...] = ()) -> list[str]:
        """`spark-submit --master spark://… pipelines/train.py …`; the executors' 512 MB fit the workers."""
        command = ["spark-submit", "--master", self.address, "--conf", "spark.executor.memory=512m", *options]
        return [*command, str(ROOT / "pipelines" / "train.py"), *arguments]

    def submit(self, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        """Run that command to its end."""
        return subprocess.run(
            self.command(*arguments, options=options),
            cwd="/",
            env=variables(),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def assert_idle(self) -> None:
        """Check that the job's executors and their processes have ended with it."""
        deadline = time.monotonic() + 30
        while left := self.executors():
            assert time.monotonic() < deadline, left
            time.sleep(0.2)


def variables() -> dict[str, str]:
    """The environment of a job on the cluster."""
    return environment() | {"SPARK_LOCAL_IP": "127.0.0.1"}


@contextmanager
def standalone(folder: Path, properties: Path | None = None) -> Iterator[Standalone]:
    """A cluster that both workers have joined; no process of it is left afterwards."""
    port, page = free_port(), free_port()
    address = f"spark://127.0.0.1:{port}"
    ports = (*LOOPBACK, "--port", str(port), "--webui-port", str(page), *properties_option(properties))
    with ExitStack() as stack:
        log = folder / "master.log"
        first = stack.enter_context(daemon(log, f"{DEPLOY}.master.Master", *ports, **VARIABLES))
        wait_until(lambda: workers(page) == 0, first, log)
        folders = [folder / f"worker{number}" for number in (1, 2)]
        daemons = [first, *(stack.enter_context(worker(each, address, properties)) for each in folders)]
        wait_until(lambda: workers(page) == 2, first, log)
        started = Standalone(address, page, folder)
        yield started
    assert not [process for process in daemons if process.is_running()]
    assert not started.executors()


def properties_option(properties: Path | None) -> tuple[str, ...]:
    """The option for a daemon's settings, if it has any."""
    return ("--properties-file", str(properties)) if properties else ()


def worker(folder: Path, address: str, properties: Path | None = None) -> AbstractContextManager[psutil.Popen]:
    """A worker with one core, whose executors write below `folder`."""
    folder.mkdir()
    size = ("--cores", "1", "--memory", "1g", "--port", "0", "--webui-port", "0", "--work-dir", str(folder))
    options = (*LOOPBACK, *size, *properties_option(properties))
    return daemon(folder / "worker.log", f"{DEPLOY}.worker.Worker", *options, address, **VARIABLES)


def workers(page: int) -> int | None:
    """How many workers the master has according to its web page; None while there is no page."""
    connection = HTTPConnection("127.0.0.1", page, timeout=10)
    try:
        connection.request("GET", "/json/")
        return int(json.loads(connection.getresponse().read())["aliveworkers"])
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
