"""Starts the ranks: TorchDistributor in function mode, and no result believed that every rank has not proven."""

import logging
from typing import Any

from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import SparkSession

from models.training import proof
from models.training.rank import fit
from models.training.task import Task
from pipelines import progress
from pipelines.config import UserError

NO_SLOTS = "SPARK-24819"


def launch(spark: SparkSession, task: Task) -> dict[str, Any]:
    """Train on `task.train.ranks` processes that Spark places, one a task, and return what they all found.

    Raises:
        UserError: there are not as many free task slots as ranks.
        RuntimeError: a rank failed; with the whole traceback of the first that did.
    """
    logging.getLogger("TorchDistributor").setLevel(logging.WARNING)
    proof.clear(task.folder)
    # Not `local_mode`: there all ranks share one result file, and a failed rank goes unnoticed.
    distributor = TorchDistributor(num_processes=task.train.ranks, local_mode=False, use_gpu=False)
    failure: Exception | None = None
    result: dict[str, Any] = {}
    try:
        with progress.ranks("train"):
            result = distributor.run(fit, task)
    except Exception as error:
        failure = error
    if failure and NO_SLOTS in str(failure):
        raise too_few(spark, task.train.ranks)
    # Spark's exception does not hold the rank's traceback: the rank's own proof does, so it is asked first.
    try:
        proof.check(task.folder, ranks=task.train.ranks)
    except RuntimeError as error:
        raise error from failure
    if failure:
        raise failure
    return result


def check(spark: SparkSession, ranks: int) -> None:
    """Refuse more ranks than this machine has slots for, before any work.

    A cluster may still grow: there Spark itself looks for a while, when the ranks start.

    Raises:
        UserError: so.
    """
    if spark.sparkContext.master.startswith("local[") and ranks > spark.sparkContext.defaultParallelism:
        raise too_few(spark, ranks)


def too_few(spark: SparkSession, ranks: int) -> UserError:
    """What to say, with the number that is there."""
    slots = spark.sparkContext.defaultParallelism
    return UserError(f"train.ranks={ranks} needs as many free task slots; Spark has {slots}")


def threads(spark: SparkSession, wanted: int, ranks: int) -> int:
    """Threads of each rank: as asked; on a local master, where the machine is ours, an equal share of its cores."""
    if wanted or not spark.sparkContext.master.startswith("local["):
        return wanted
    return max(1, int(spark.sparkContext.defaultParallelism) // ranks)
