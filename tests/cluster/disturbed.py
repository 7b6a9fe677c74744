"""A run that something happens to, and the same run left in peace on the local disk: they must end alike."""

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

from models.storage import files
from models.training import checkpoint
from pipelines import train
from pipelines.config import load
from tests.cluster.hadoop import Hadoop
from tests.conftest import VOLATILE, content, documents, write_json
from tests.jobs import ROOT, assert_gone, environment, wait_for

RUN = ["train.ranks=2", "train.epochs=40", "train.patience=0", "train.checkpoint_steps=3", "train.timeout_s=60"]
TABLES = ("bronze/documents", "silver/documents")
LOCAL = ("--master", "local[2]")
PATIENCE_S = 400


@dataclass
class Disturbed:
    """A run named `disturbed` of the files and the lake on a cluster; `folder` is for what it says, and for its like.

    `options` are spark-submit's, `variables` the environment's.
    """

    cluster: Hadoop
    folder: Path
    options: tuple[str, ...] = LOCAL
    more: tuple[str, ...] = ()
    variables: dict[str, str] | None = None
    running: subprocess.Popen[bytes] | None = None
    repeated: bool = False

    def __post_init__(self) -> None:
        write_json(self.folder / "in" / "a.json", documents(100))
        content = (self.folder / "in" / "a.json").read_bytes()
        files.write(f"{self.root}/in/a.json", content)

    @property
    def root(self) -> str:
        """Its place on the cluster."""
        return f"{self.cluster.address}/{self.folder.name}"

    @property
    def errors(self) -> Path:
        """What the run said last."""
        return self.folder / "err"

    @property
    def bundle(self) -> str:
        """Where its bundle is to be."""
        return f"{self.root}/lake/files/bundles/disturbed"

    def arguments(self, root: str) -> list[str]:
        """The same run, on the files and the lake of any place."""
        source = ["source=files", f"source.path={root}/in", "source.format=json", "source.label=label"]
        return [*source, f"lake={root}/lake", f"report={root}/report.json", "run=disturbed", *RUN, *self.more]

    def start(self) -> None:
        """Submit it, in processes of its own."""
        command = ["spark-submit", *self.options, str(ROOT / "pipelines" / "train.py")]
        variables = environment() | {"HADOOP_CONF_DIR": str(self.cluster.conf)} | (self.variables or {})
        with self.errors.open("wb") as errors, self.errors.with_suffix(".out").open("wb") as output:
            self.running = subprocess.Popen(
                [*command, *self.arguments(self.root)],
                env=variables,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL to all of its processes here."""
        assert self.running
        os.killpg(self.running.pid, signal.SIGKILL)
        assert self.running.wait(timeout=60) == -signal.SIGKILL, "it had ended before"
        assert_gone(self.running.pid)

    def until(self, moment: str) -> None:
        """Until it has said so; `training`: until a checkpoint of step 9 is there."""
        assert self.running
        if moment != "training":
            wait_for(self.errors, moment, self.running)
            return
        deadline = time.monotonic() + PATIENCE_S
        while checkpoint.last_step(self.bundle) < 9:
            assert self.running.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.1)

    def marks(self) -> set[str]:
        """The names of all commits and checkpoints."""
        filesystem, lake = files.locate(f"{self.root}/lake")
        if not filesystem.exists(lake):
            return set()
        kept = (f"/{checkpoint.FOLDER}/", "/_delta_log/")
        return {name for name in filesystem.find(lake) if any(part in name for part in kept) and "/." not in name}

    def at_rest(self) -> set[str]:
        """The marks, once none has come for three seconds: ranks may outlive their driver for a moment."""
        found, last = self.marks(), time.monotonic()
        while time.monotonic() - last < 3:
            time.sleep(0.2)
            if (now := self.marks()) != found:
                found, last = now, time.monotonic()
        return found

    def recovery_s(self, before: set[str], began: float | None = None) -> float:
        """Seconds from `began`, or now, until there is a commit or a checkpoint more than there was `before`.

        It may have to be submitted again.
        """
        assert self.running
        began = began or time.monotonic()
        while not self._grown(before):
            assert time.monotonic() - began < PATIENCE_S, self.said()
            if self.running.poll():
                self.again()
            time.sleep(0.1)
        return time.monotonic() - began

    def _grown(self, before: set[str]) -> bool:
        try:
            return bool(self.marks() - before)
        except (OSError, RuntimeError):  # HDFS itself is away: not yet
            return False

    def end(self) -> dict[str, Any]:
        """Its report; it may have failed once, and is submitted again then."""
        assert self.running
        if self.running.wait(timeout=PATIENCE_S) != 0:
            self.again()
            assert self.running.wait(timeout=PATIENCE_S) == 0, self.said()
        report: dict[str, Any] = json.loads(files.read(f"{self.root}/report.json"))
        return report

    def again(self) -> None:
        """Submit it once more; a second failure is one too many."""
        assert not self.repeated, self.said()
        print(f"submitted again after: {self.said()[-600:]}")
        self.repeated = True
        self.start()

    def said(self) -> str:
        """The end of its standard error."""
        return self.errors.read_text(errors="replace")[-3000:]

    def assert_like_undisturbed(self, spark: SparkSession, report: dict[str, Any]) -> None:
        """The weights, the steps and the tables' rows are those of a run that nothing happened to."""
        whole = train.run(spark, load(self.arguments(f"file://{self.folder}"))).to_dict()
        assert report["train"]["steps"] == whole["train"]["steps"]
        weights = [files.read(f"{each['bundle']}/weights.safetensors") for each in (report, whole)]
        assert weights[0] == weights[1]
        for table in TABLES:
            remote, local = (
                content(spark.read.format("delta").load(f"{root}/lake/files/{table}"), (*VOLATILE, "path"))
                for root in (self.root, f"file://{self.folder}")
            )
            assert remote == local, table


def show(fault: str, seconds: float) -> None:
    """A line for the README's table: `make faults-cluster ARGS=-rP` prints them."""
    print(f"recovery: {fault}: {seconds:.1f} s")
