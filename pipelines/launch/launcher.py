"""Starts the ranks with TorchDistributor in function mode; a launch succeeds only if every rank left an exit record.

The driver counts the attempts: if a rank is lost, it launches all of them again, from the last checkpoint.
"""

import logging
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

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
from pipelines.console.progress import print_message
from pipelines.errors import UserError
from pipelines.launch import hdfs_access
from pipelines.launch.log_server import listen_on_one_address
from pipelines.launch.rank_output import RankOutput, show_rank_output

TOO_FEW_SLOTS = "SPARK-24819"  # Spark's error for a barrier stage with more tasks than free slots
JOB_TAG = "textmill-ranks"


@dataclass(frozen=True)
class LaunchResult:
    """The result of a training.

    Attributes:
        figures: the ranks' results.
        failures: how many launches failed before the one that succeeded.
        launching: the seconds of the last launch before and after the ranks ran: TorchDistributor starts four processes
            per rank.
    """

    figures: TrainingFigures
    failures: int
    launching: float


def launch(spark: SparkSession, task: Task) -> LaunchResult:
    """Train with `task.train.ranks` processes, each in a Spark task, and launch them again after a failure.

    Raises:
        UserError: Spark has fewer free task slots than there are ranks.
        RankFailure: a rank failed because of a user's mistake, or at the same step with the same exception as in the
            launch before, or there were more than `train.max_failures` failures; it contains the first traceback.
        OSError, RuntimeError: the lake cannot be written to after a failed launch.
    """
    logging.getLogger("TorchDistributor").setLevel(logging.WARNING)
    previous: RankFailure | None = None
    for failures in range(task.train.max_failures + 1):
        began = time.monotonic()
        try:
            figures = _launch_attempt(spark, replace(task, attempt=secrets.token_hex(4)))
        except RankFailure as failure:
            if failure.mistake or failure.repeats(previous) or failures == task.train.max_failures:
                raise
            previous = failure
            _prepare_relaunch(task, failure, failures + 1)
        else:
            return LaunchResult(figures, failures, launching=time.monotonic() - began - figures.seconds)
    raise AssertionError("unreachable")


def _prepare_relaunch(task: Task, failure: RankFailure, failures: int) -> None:
    # If nothing can be written to the lake, ranks cannot even report it, and those of another launch could not either.
    files.write(f"{task.folder}/attempts/writable", b"yes")
    step = checkpoint.last_step(task.folder)
    print_message(f"train: {failure}")
    print_message(f"train: launching again from step {step} ({failures} of {task.train.max_failures} times)")


def _launch_attempt(spark: SparkSession, task: Task) -> TrainingFigures:
    """Launch all ranks once and return their figures.

    Raises:
        UserError: Spark has fewer free task slots than there are ranks.
        RankFailure: a rank failed or was lost.
    """
    _await_slots(spark, task.train.ranks, task.train.slots_s)
    # Not `local_mode`: in it all ranks share one result file, and a failed rank goes unnoticed.
    distributor = TorchDistributor(num_processes=task.train.ranks, local_mode=False, use_gpu=task.train.gpu)
    launch_error: Exception | None = None
    figures: TrainingFigures | None = None
    try:
        with (
            listen_on_one_address(),
            show_rank_output("train") as output,
            _cancel_when_silent(spark, output, task.train.timeout_s),
        ):
            figures = distributor.run(fit, task)
    except Exception as error:
        launch_error = error
    if launch_error and TOO_FEW_SLOTS in str(launch_error):
        raise too_few_slots(spark, task.train.ranks)
    # The exit records are read first, because they hold the ranks' tracebacks and Spark's exception does not.
    try:
        exit_records.check_all_finished(task.exit_folder, ranks=task.train.ranks)
    except RankFailure as failure:
        raise failure from launch_error
    if launch_error:
        raise RankFailure(f"the launch failed: {launch_error}") from launch_error
    assert figures
    return figures


def _await_slots(spark: SparkSession, ranks: int, slots_s: float) -> None:
    """Wait until Spark has a task slot for each rank.

    Executors start late if an environment is copied to them first, and later still if one was lost with its host.
    Spark's own check waits only briefly, because it assumes that the cluster is complete.

    Raises:
        UserError: there are too few slots after `slots_s` seconds.
    """
    deadline, reported = time.monotonic() + slots_s, -1
    while (slots := free_slots(spark)) < ranks:
        if time.monotonic() > deadline:
            raise too_few_slots(spark, ranks)
        if slots != reported:
            print_message(f"train: waiting up to {slots_s:.0f} s for {ranks} task slots; Spark has {slots}")
            reported = slots
        time.sleep(1)


def free_slots(spark: SparkSession) -> int:
    """How many tasks Spark can run at once now, counted as in its own check of a barrier stage."""
    assert spark.sparkContext._jsc
    context = spark.sparkContext._jsc.sc()
    return int(context.maxNumConcurrentTasks(context.resourceProfileManager().defaultResourceProfile()))


@contextmanager
def _cancel_when_silent(spark: SparkSession, output: RankOutput, timeout_s: float) -> Iterator[None]:
    """Cancel the block's Spark job if no rank prints anything for longer than a live one can be silent."""
    ended = threading.Event()
    longest_silence = timeout_s + 2 * GRACE_S

    def watch() -> None:
        while not ended.wait(min(1.0, longest_silence / 4)):
            if output.last_received and time.monotonic() - output.last_received > longest_silence:
                print_message(
                    f"train: no rank has printed anything for {longest_silence:.0f} seconds; the launch is cancelled"
                )
                context.cancelJobsWithTag(JOB_TAG)
                return

    # Not the session's tags: only the thread that added one of them can interrupt jobs by it.
    context = spark.sparkContext
    context.addJobTag(JOB_TAG)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        context.removeJobTag(JOB_TAG)


def check_resources(spark: SparkSession, ranks: int, lake: str) -> None:
    """Check, before any work, that there are slots for the ranks and that ranks can read the lake.

    A cluster may still grow, so slots are counted here only on a local master; `train.slots_s` bounds the wait for
    them when the ranks start.

    Raises:
        UserError: this machine has fewer task slots than there are ranks, or ranks have no access to the lake.
        Outage: the lake's HDFS does not answer.
    """
    if spark.sparkContext.master.startswith("local[") and ranks > spark.sparkContext.defaultParallelism:
        raise too_few_slots(spark, ranks)
    hdfs_access.check_access(spark, lake, ranks)


def too_few_slots(spark: SparkSession, ranks: int) -> UserError:
    """The error for a number of ranks above that of free slots."""
    return UserError(f"train.ranks={ranks} needs {ranks} free task slots; Spark has {free_slots(spark)}")


def with_thread_share(spark: SparkSession, task: Task) -> Task:
    """The task with its number of threads: `train.threads`, or each rank's share of the cores on a local master."""
    if task.train.threads or not spark.sparkContext.master.startswith("local["):
        return task
    share = max(1, int(spark.sparkContext.defaultParallelism) // task.train.ranks)
    return replace(task, train=replace(task.train, threads=share))
