"""Two jobs on one lake at once: the second waits or leaves, nothing is done twice, a killed one is in nobody's way."""

import json
import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from models.training.task import Task
from pipelines import featurize, ingest, maintain, train
from pipelines.config import load
from pipelines.errors import Busy
from pipelines.lakehouse import locks
from pipelines.lakehouse.dataset import Dataset
from pipelines.lakehouse.delta_log import DeltaLog
from pipelines.lakehouse.lock_files import LocalLock
from pipelines.lakehouse.locks import Overlap
from pipelines.tracking.reports import Report
from pipelines.tracking.run_log import RunLog
from tests import commits
from tests.conftest import documents, last_json, opened, versions, write_json
from tests.jobs import ROOT, environment, little_text, small, start, submit, wait_for, weights_of
from tests.lakes import assert_equal_lakes

pytestmark = pytest.mark.submit
LEAVE = Overlap("leave", 0)
TRAINING = ["run=both", "train.epochs=60", "train.patience=0"]


def ended(running: subprocess.Popen[bytes], errors: Path) -> dict[str, object]:
    """The report of a job that must succeed."""
    assert running.wait(timeout=240) == 0, errors.read_text()[-3000:]
    return last_json(errors.with_suffix(".out").read_text())


def test_of_two_drivers_one_waits_and_nothing_is_done_twice(spark: SparkSession, tmp_path: Path) -> None:
    once = featurize.run(spark, load([*small(tmp_path), "dataset=once"])).to_dict()
    arguments = [*little_text(tmp_path), "dataset=twice"]
    other = start("featurize", arguments, tmp_path / "err")
    wait_for(tmp_path / "err", "looking for new files", other)
    here = featurize.run(spark, load(arguments)).to_dict()
    reports = [here, ended(other, tmp_path / "err")]
    assert sorted(str(report["status"]) for report in reports) == ["done", "unchanged"]
    (done,) = (report for report in reports if report["status"] == "done")
    assert done["rows"] == once["rows"]
    assert versions(tmp_path / "lake" / "twice") == versions(tmp_path / "lake" / "once")
    assert_equal_lakes(tmp_path / "lake", "once", "twice")
    assert not (tmp_path / "lake" / "twice" / locks.FOLDER).exists()


def test_a_run_is_trained_once_and_text_comes_in_meanwhile(
    spark: SparkSession, tmp_path: Path, trained: list[Task], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*small(tmp_path), *TRAINING]
    first = start("train", arguments, tmp_path / "first.err")
    wait_for(tmp_path / "first.err", "train: epoch", first)
    os.killpg(first.pid, signal.SIGSTOP)  # it trains for as long as this takes
    write_json(tmp_path / "in" / "b.json", documents(10, start=100))
    assert featurize.run(spark, load([*arguments, "overlap_s=60"])).batches == [2]
    with pytest.raises(Busy, match=r"^the run both is in use by train \(process \d+ on .*\): try again later$"):
        train.run(spark, load([*arguments, "overlap=leave"]))
    with ThreadPoolExecutor() as threads:
        second = threads.submit(train.run, spark, load([*arguments, "overlap_s=120"]))
        waits = ""
        while "the run both is in use by train" not in waits:
            assert not second.done(), waits
            waits += capsys.readouterr().err
            time.sleep(0.1)
        os.killpg(first.pid, signal.SIGCONT)
        reports = [ended(first, tmp_path / "first.err"), second.result(timeout=240).to_dict()]
    assert [report["status"] for report in reports] == ["done", "unchanged"]
    assert [report["snapshot"] for report in reports] == [1, 1]
    assert reports[0]["metrics"] == reports[1]["metrics"]
    recorded = [row for row in opened(spark, load(arguments)).runs.rows().to_pylist() if row["job"] == "train"]
    assert (len(recorded), trained) == (1, [])
    alone = train.run(spark, load([*arguments, "snapshot=1", "run=alone"])).to_dict()
    assert weights_of(alone) == weights_of(reports[0])


def test_a_training_goes_on_while_the_files_that_it_reads_are_replaced(
    spark: SparkSession, tmp_path: Path, trained: list[Task]
) -> None:
    arguments = [*small(tmp_path), *TRAINING, "train.cache_gb=0", "maintain.retention_hours=0"]
    for number in range(1, 4):
        write_json(tmp_path / "in" / f"{number}.json", documents(100, start=100 * number))
        featurize.run(spark, load(arguments))
    shutil.copytree(tmp_path / "lake" / "files", tmp_path / "lake" / "alone")
    write_json(tmp_path / "in" / "4.json", documents(100, start=400))
    featurize.run(spark, load(arguments))
    own = [argument for argument in arguments if not argument.startswith("maintain.")]
    running = start("train", [*own, "snapshot=3"], tmp_path / "err")
    wait_for(tmp_path / "err", "train: epoch", running)
    os.killpg(running.pid, signal.SIGSTOP)
    done = maintain.run(spark, load(arguments)).to_dict()
    os.killpg(running.pid, signal.SIGCONT)
    assert done["files"]["features"] == [4, 1]
    assert done["removed"]["files"] == 0
    found = ended(running, tmp_path / "err")
    assert maintain.run(spark, load(arguments)).removed.files > 4
    (tmp_path / "in" / "4.json").unlink()
    alone = train.run(spark, load([*arguments, "dataset=alone"])).to_dict()
    assert weights_of(alone) == weights_of(found)
    assert len(trained) == 1


def test_leaving_is_status_75_and_a_killed_holder_is_in_nobodys_way(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = little_text(tmp_path)
    holder = start("featurize", arguments, tmp_path / "err")
    wait_for(tmp_path / "err", "ingest: batch", holder)
    os.killpg(holder.pid, signal.SIGSTOP)  # a holder for as long as this takes
    try:
        left = submit("ingest", *arguments, "overlap=leave", f"report={tmp_path}/report.json")
        with pytest.raises(Busy, match=r"^the data set .* after 2 seconds: try again later$"):
            ingest.run(spark, load([*arguments, "overlap_s=2"]))
    finally:
        os.killpg(holder.pid, signal.SIGKILL)
    holder.wait(timeout=60)
    folder = opened(spark, load(arguments)).folder
    began = time.monotonic()
    with locks.tables_lock(spark, folder, Overlap("wait", 20)):
        assert time.monotonic() - began < 2
    assert left.returncode == os.EX_TEMPFAIL
    assert left.stdout == ""
    says = f"textmill: the data set {folder} is in use by featurize (process "
    assert left.stderr.strip().splitlines()[-1].startswith(says)
    assert left.stderr.strip().endswith(": try again later")
    assert ": waiting" not in left.stderr
    assert capsys.readouterr().err.strip().splitlines()[-1].endswith(": waiting")
    told = json.loads((tmp_path / "report.json").read_text())
    assert (told["job"], told["status"]) == ("ingest", "busy")


def test_a_lock_is_one_holders_and_leaves_nothing_behind(spark: SparkSession, tmp_path: Path) -> None:
    folder = f"file://{tmp_path}/lake/set"
    with locks.tables_lock(spark, folder, LEAVE) as waited, locks.run_lock(spark, folder, "one", LEAVE):
        assert not waited
        with pytest.raises(Busy, match=r"the data set .* is in use by tests"), locks.tables_lock(spark, folder, LEAVE):
            pass
        assert list(locks.held_runs(spark, folder)) == ["one"]
    assert locks.held_runs(spark, folder) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_lock_whose_file_was_replaced_is_not_believed(spark: SparkSession, tmp_path: Path) -> None:
    """Whoever opened the file of a holder that then left has locked a file that nobody else will find."""
    lock = LocalLock(spark, f"{tmp_path}/locks/one")
    note = LocalLock.note
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(LocalLock, "note", lambda self: (os.remove(self.path), note(self))[1])
        assert not lock.acquire(b"mine")
    assert lock.acquire(b"mine")
    lock.release()


@dataclass(frozen=True, kw_only=True)
class WithMetrics(Report):
    snapshot: int = 1
    metrics: dict[str, float] = field(default_factory=lambda: {"test": 1.0})


def test_every_commit_on_a_local_disk_is_locked(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = Dataset(spark, f"file://{tmp_path}/lake", "set", "words-0")
    held = []
    append = DeltaLog.append

    def watched(*values: Any, **more: Any) -> bool:
        held.append(os.listdir(tmp_path / "lake" / "set" / locks.FOLDER))
        return append(*values, **more)

    monkeypatch.setattr(DeltaLog, "append", watched)
    RunLog(dataset).record(WithMetrics(job="train", status="done", run="a", seconds={}))
    dataset.snapshots.commit(1, [])
    assert held == [["commit-runs"], ["commit-metrics"], ["commit-gold-words-0-snapshots"]]


SLOW = [
    "strace",
    "-f",
    "--seccomp-bpf",
    "-o",
    "/dev/null",
    "-qq",
    "-etrace=rename",
    "-einject=rename:delay_enter=300000",
]


@pytest.mark.faults
@pytest.mark.skipif(not shutil.which("strace"), reason="strace makes the moment between look and renaming longer")
@pytest.mark.parametrize("how", ["locked", "unlocked"])
def test_without_the_lock_a_commit_is_overwritten(tmp_path: Path, how: str) -> None:
    """Both drivers are told of a version that it is theirs: what one of them wrote is gone, without a word."""
    (tmp_path / "table" / "_delta_log").mkdir(parents=True)
    script = str(Path(commits.__file__))
    command = [*SLOW, "spark-submit", "--master", "local[1]", script, str(tmp_path), how]
    variables = environment() | {"PYTHONPATH": str(ROOT)}
    running = [
        subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(2)
    ]
    told = sum(int(job.communicate(timeout=240)[0].splitlines()[-1]) for job in running)
    assert versions(tmp_path) == {"table": commits.VERSIONS}
    assert told == commits.VERSIONS if how == "locked" else told > commits.VERSIONS
