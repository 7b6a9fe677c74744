"""SIGKILL: a run that is killed, at any moment of any stage, and a second one make an undisturbed run's tables."""

import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from pyspark.sql import SparkSession

from pipelines import featurize, train
from pipelines.arguments.job_keys import JOBS as JOB_KEYS
from pipelines.config import load
from tests.conftest import last_json
from tests.jobs import assert_gone, small, start, wait_for, weights_of
from tests.lakes import assert_equal_lakes

pytestmark = pytest.mark.submit
KILLED = ("run=killed", "train.epochs=40", "train.patience=0", "train.checkpoint_steps=3")
JOBS = {"featurize": featurize.run, "train": train.run}


@pytest.fixture(scope="module")
def field(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose lake holds what undisturbed runs made: `featurize` and `train`."""
    folder = tmp_path_factory.mktemp("kills")
    lake = folder / "lake"
    featurize.run(spark, load([*small(folder), "dataset=featurize", *KILLED]))
    shutil.copytree(lake / "featurize", lake / "train")
    train.run(spark, load([*small(folder), "dataset=train", *KILLED]))
    return folder


@pytest.mark.parametrize("stage", ["ingest: batch", "train: epoch"])
def test_a_killed_run_and_a_second_one_make_an_undisturbed_runs_tables(
    spark: SparkSession, field: Path, stage: str
) -> None:
    kill_and_repeat(spark, field, stage, seed=0, longest=2.0)


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    "stage", ["looking", "ingest: batch", "clean: batch", "featurize: batch", "train: epoch", "evaluate"]
)
def test_many_kills(spark: SparkSession, field: Path, stage: str, seed: int) -> None:
    kill_and_repeat(spark, field, stage, seed, longest=4.0)


def kill_and_repeat(spark: SparkSession, field: Path, stage: str, seed: int, longest: float) -> None:
    """SIGKILL all processes of a run at a seeded moment of a stage; run again; compare with an undisturbed run."""
    job = "train" if stage.startswith(("train", "evaluate")) else "featurize"
    killed = f"{stage.replace(': ', '-')}-{seed}"
    arguments = [*small(field), f"dataset={killed}", *KILLED]
    moment = random.Random(killed).uniform(0, longest)  # noqa: S311 (repeatable, not secret)
    while not kill(field, job, arguments, stage, moment):  # it had ended: a new one, killed earlier
        shutil.rmtree(field / "lake" / killed)
        moment /= 2
    JOBS[job](spark, load(arguments))
    assert_equal_lakes(field / "lake", job, killed)


def kill(field: Path, job: str, arguments: list[str], stage: str, moment: float) -> bool:
    """Start a run and kill it some seconds after it has come to a stage; False where it had ended before."""
    killed = load(arguments).dataset
    if job == "train":  # its tables are there, and its run goes on where it was
        shutil.copytree(field / "lake" / "featurize", field / "lake" / killed)
    own = [argument for argument in arguments if JOB_KEYS[job].accepts(argument.partition("=")[0])]
    running = start(job, own, field / f"{killed}.err")
    wait_for(field / f"{killed}.err", stage, running)
    time.sleep(moment)
    os.killpg(running.pid, signal.SIGKILL)
    status = running.wait(timeout=60)
    assert status in (0, -signal.SIGKILL), "it failed by itself"
    return status != 0


@pytest.mark.cluster
@pytest.mark.faults
def test_an_executor_that_is_killed_changes_nothing(spark: SparkSession, tmp_path: Path) -> None:
    """Two executors in processes of their own; the ranks go on from the last checkpoint."""
    arguments = [*small(tmp_path), "train.ranks=2", "train.epochs=25", "train.patience=0", "train.checkpoint_steps=5"]
    undisturbed = train.run(spark, load([*arguments, "dataset=undisturbed"])).to_dict()
    running = start("train", arguments, tmp_path / "err", master="local-cluster[2,1,1024]")
    wait_for(tmp_path / "err", "epoch 1/", running)
    executors = executors_of(running)
    assert len(executors) == 2
    executors[0].kill()
    assert running.wait(timeout=200) == 0, (tmp_path / "err").read_text()[-3000:]
    report = last_json((tmp_path / "err.out").read_text())
    assert (report["train"]["ranks"], report["train"]["failures"]) == (2, 1)
    assert report["train"]["steps"] == undisturbed["train"]["steps"]
    assert weights_of(report) == weights_of(undisturbed)
    assert_gone(running.pid)


def executors_of(running: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The executors' JVMs below a job; processes that end while we look are none."""
    found = []
    for process in psutil.Process(running.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a zombie is one too
            if any("CoarseGrainedExecutorBackend" in word for word in process.cmdline()):
                found.append(process)
    return found
