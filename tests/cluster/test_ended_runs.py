"""A test run that is ended leaves no daemon behind, no container, and no rank of a job that is under way."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.cluster.jars import class_path
from tests.runs import Run, wait

pytestmark = pytest.mark.cluster

TESTS = """
import time
from pathlib import Path

from tests.cluster.containers import SIZES, code_alone
from tests.cluster.daemons import LOOPBACK
from tests.cluster.disturbed import Disturbed
from tests.cluster.hadoop import hadoop
from tests.cluster.jars import class_path
from tests.cluster.standalone import standalone

def test_something_long(tmp_path):
    with (
        standalone(tmp_path / "standalone"),
        hadoop(tmp_path / "hadoop", class_path(), hosts=(LOOPBACK, LOOPBACK), cores=2) as cluster,
    ):
        options = ["--master", "yarn", "--deploy-mode", "cluster"]
        for name, value in (SIZES | code_alone(tmp_path)).items():
            options += ["--conf", f"{name}={value}"]
        more = ("train.epochs=1000000", "train.cache_gb=0.1")
        running = Disturbed(cluster, tmp_path, tuple(options), more, {"SPARK_LOCAL_IP": "127.0.0.1"})
        running.start()
        running.until("training")
        (Path(__file__).parent / "ready-1").touch()
        time.sleep(600)
"""


def command_lines(processes: list[psutil.Process]) -> Iterator[str]:
    """What processes were started as."""
    for process in processes:
        with suppress(psutil.Error):  # it ended
            yield " ".join(process.cmdline())


def test_a_run_that_is_ended_leaves_no_daemon(tmp_path: Path) -> None:
    class_path()  # fetched here, where nobody waits for it
    with Run(tmp_path, TESTS) as run:
        run.until_ready(1, patience_s=540)
        time.sleep(1)
        before = psutil.Process(run.process.pid).children(recursive=True)
        seen = "\n".join(command_lines(before))
        for name in ("NameNode", "DataNode", "ResourceManager", "NodeManager", "master.Master", "worker.Worker"):
            assert name in seen
        for name in ("SparkSubmit", "yarn.ApplicationMaster", "YarnCoarseGrainedExecutorBackend", "-u "):
            assert name in seen, "the job is not under way"
        run.process.terminate()
        run.assert_nothing_left()
        wait(lambda: not [process for process in before if process.is_running()], "a container's processes are left")
