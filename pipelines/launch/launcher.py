"""Starts the ranks: TorchDistributor in function mode, and no result believed that every rank has not proven.

The driver owns the attempts: after a lost rank it launches all of them again, from the last checkpoint.
"""

import logging
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import SparkSession

from models.ranks import exit_records
from models.ranks.exit_records import RankFailure
from models.ranks.process_group import GRACE_S
from models.storage import files
from models.training import checkpoint
from models.training.entrypoint import fit
from models.training.figures import TrainingFigures
from models.training.task import Task
from pipelines.errors import UserError
from pipelines.job import progress
from pipelines.launch import hdfs_access, log_server

NO_SLOTS = "SPARK-24819"
TAG = "textmill-ranks"


def launch(spark: SparkSession, task: Task) -> dict[str, Any]:
    """Train on `task.train.ranks` processes that Spark places, one a task, and return what they all found.

    Raises:
        UserError: there are not as many free task slots as ranks.
        RankFailure: a rank failed, with the whole traceback of the first that did: at the same step with the same
            exception as the time before, or by the user's mistake, or more than `train.max_failures` times.
        OSError, RuntimeError: after a failed launch, nothing can be written to the lake.
    """
    logging.getLogger("TorchDistributor").setLevel(logging.WARNING)
    last: RankFailure | None = None
    for failures in range(1, task.train.max_failures + 2):
        began = time.monotonic()
        try:
            figures = _once(spark, replace(task, attempt=secrets.token_hex(4)))
        except RankFailure as failure:
            if failure.mistake or failure.repeats(last) or failures > task.train.max_failures:
                raise
            last = failure
            # Where the lake takes no file, ranks cannot even say so, and those of the next launch could not either.
            files.write(f"{task.folder}/attempts/writable", b"yes")
            step = checkpoint.last_step(task.folder)
            progress.say(f"train: {failure}")
            progress.say(f"train: launching again from step {step} ({failures} of {task.train.max_failures} times)")
        else:
            # What passed before and after the ranks' own time: TorchDistributor's four processes a rank.
            launching = time.monotonic() - began - figures.seconds
            return figures.to_dict() | {"failures": failures - 1, "launching": launching}
    raise AssertionError("unreachable")


def _once(spark: SparkSession, task: Task) -> TrainingFigures:
    """One launch.

    Raises:
        UserError: too few slots.
        RankFailure: a rank failed or was lost.
    """
    _await_slots(spark, task.train.ranks, task.train.slots_s)
    # Not `local_mode`: there all ranks share one result file, and a failed rank goes unnoticed.
    distributor = TorchDistributor(num_processes=task.train.ranks, local_mode=False, use_gpu=task.train.gpu)
    failure: Exception | None = None
    result: TrainingFigures | None = None
    try:
        with (
            log_server.on_one_address(),
            progress.ranks("train") as heard,
            _cancelled_when_silent(spark, heard, task.train.timeout_s),
        ):
            result = distributor.run(fit, task)
    except Exception as error:
        failure = error
    if failure and NO_SLOTS in str(failure):
        raise too_few(spark, task.train.ranks)
    # Spark's exception does not hold the rank's traceback: the rank's own proof does, so it is asked first.
    try:
        exit_records.check_all_finished(task.exit_folder, ranks=task.train.ranks)
    except RankFailure as error:
        raise error from failure
    if failure:
        raise RankFailure(f"the launch failed: {failure}") from failure
    assert result
    return result


def _await_slots(spark: SparkSession, ranks: int, slots_s: float) -> None:
    """Wait until Spark has a task slot for each rank: executors come late where an environment travels to them first,
    and later where one was lost with its host. Spark's own check is for clusters that are complete, and so is short.

    Raises:
        UserError: too few after so many seconds.
    """
    deadline, told = time.monotonic() + slots_s, -1
    while (there := slots(spark)) < ranks:
        if time.monotonic() > deadline:
            raise too_few(spark, ranks)
        if there != told:
            progress.say(f"train: waiting for {ranks} task slots, Spark has {there} (at most {slots_s:.0f} s)")
            told = there
        time.sleep(1)


def slots(spark: SparkSession) -> int:
    """How many tasks Spark can run at once now: what its check of a barrier stage counts."""
    assert spark.sparkContext._jsc
    context = spark.sparkContext._jsc.sc()
    return int(context.maxNumConcurrentTasks(context.resourceProfileManager().defaultResourceProfile()))


@contextmanager
def _cancelled_when_silent(spark: SparkSession, heard: progress.Heard, timeout_s: float) -> Iterator[None]:
    """Cancel the block's Spark job when no rank has been heard of for longer than one that lives may be silent."""
    over = threading.Event()
    longest = timeout_s + 2 * GRACE_S

    def watch() -> None:
        while not over.wait(min(1.0, longest / 4)):
            if heard.last and time.monotonic() - heard.last > longest:
                progress.say(f"train: no rank has been heard of for {longest:.0f} seconds")
                context.cancelJobsWithTag(TAG)
                return

    # Not the session's tags: those that one thread gives, no other can interrupt by.
    context = spark.sparkContext
    context.addJobTag(TAG)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()
        context.removeJobTag(TAG)


def check(spark: SparkSession, ranks: int, lake: str) -> None:
    """Refuse more ranks than this machine has slots for, and a lake that ranks could not read, before any work.

    A cluster may still grow: there `train.slots_s` counts, when the ranks start.

    Raises:
        UserError: so.
    """
    if spark.sparkContext.master.startswith("local[") and ranks > spark.sparkContext.defaultParallelism:
        raise too_few(spark, ranks)
    hdfs_access.check(spark, lake, ranks)


def too_few(spark: SparkSession, ranks: int) -> UserError:
    """What to say, with the number that is there."""
    return UserError(f"train.ranks={ranks} needs as many free task slots; Spark has {slots(spark)}")


def placed(spark: SparkSession, task: Task) -> Task:
    """The task with its threads: as asked; on a local master, where the machine is ours, a share of its cores."""
    if task.train.threads or not spark.sparkContext.master.startswith("local["):
        return task
    share = max(1, int(spark.sparkContext.defaultParallelism) // task.train.ranks)
    return replace(task, train=replace(task.train, threads=share))
