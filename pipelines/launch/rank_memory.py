"""What a rank's processes need, beside the JVM of their executor, where the cluster kills what takes more."""

import math
import re

import numpy as np
import torch
from pyspark.sql import SparkSession

from models.bundles import architecture, bundle
from models.dataset import shuffle
from models.dataset.encoder import Documents, tensors
from models.dataset.inputs import FIRST
from models.dataset.ragged import Ragged, Stack
from models.training.task import Task
from pipelines.errors import UserError

# Resident megabytes: Spark's Python worker, TorchDistributor's wrapper and torchrun; and a rank that imported torch.
LAUNCH_MB, RANK_MB = 230 + 130 + 260, 420
# Weights, gradient, two moments and the best weights. While a checkpoint is written, all but the gradient twice more:
# safetensors makes bytes of each tensor, and one piece of all bytes.
COPIES = 5 + 2 * 4
# Documents that are being decoded, twice.
BUCKETS_MB = 256
BAG = 1000  # terms of a long document
SLACK = 2  # what is made and let go on the way, and gradients of what is kept
ENFORCING = ("yarn", "k8s")
LEAST_MB, FACTOR = 384, 0.1  # Spark's defaults of spark.executor.memoryOverhead
UNITS = {"k": 1 / 1024, "m": 1, "g": 1024, "t": 1024**2}


def needed_mb(task: Task, terms: int) -> int:
    """An estimate for one rank."""
    described = {"model": task.model, "options": task.options, "labels": task.labels, "task": {"kind": task.kind}}
    model = bundle.sketch(described, terms=terms)
    weights = 4 * sum(parameter.numel() for parameter in model.parameters()) / 2**20
    documents = -(-task.train.batch // (task.train.ranks * task.train.accumulate))
    reads = architecture.reads(task.model, task.options)
    bucket = -(-task.documents // (task.train.shuffle_buckets or shuffle.buckets(task.documents)))
    pixels = 2 * bucket * math.prod(reads.image) / 2**20 if reads.image else 0.0
    passing = SLACK * documents * saved_mb(task)
    return round(LAUNCH_MB + RANK_MB + COPIES * weights + 1024 * task.train.cache_gb + BUCKETS_MB + pixels + passing)


def saved_mb(task: Task) -> float:
    """What a pass of one of the longest documents keeps for its way back; of a vocabulary of one term."""
    model = architecture.build(task.model, task.options, terms=1, classes=task.outputs)
    reads = architecture.reads(task.model, task.options)
    bags = Ragged((np.zeros(BAG, np.int64), np.ones(BAG, np.float32)), np.array([0, BAG]))
    words = Ragged((np.full(reads.length, FIRST),), np.array([0, reads.length]))
    image = Stack(np.zeros((1, *(reads.image or (1, 1, 1))), np.uint8))
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = model(tensors(Documents(bags, words if reads.length else None, image)))
    assert outputs.requires_grad  # and so all that it keeps is still there: no address was counted for two tensors
    return sum(kept.values()) / 2**20


def check(spark: SparkSession, task: Task, terms: int) -> None:
    """Refuse to launch ranks that YARN or Kubernetes would kill.

    Raises:
        UserError: spark.executor.memoryOverhead is too small.
    """
    if not spark.sparkContext.master.startswith(ENFORCING):
        return
    cores = int(spark.conf.get("spark.executor.cores", "1") or 1)
    ranks = min(task.train.ranks, max(1, cores // int(spark.conf.get("spark.task.cpus", "1") or 1)))
    needed = ranks * needed_mb(task, terms)
    if needed > (given := overhead_mb(spark)):
        raise UserError(
            f"{ranks} ranks on an executor need some {needed} MB beside its JVM, and it has {given}: "
            f"give --conf spark.executor.memoryOverhead={needed}m (or lower train.cache_gb)"
        )


def overhead_mb(spark: SparkSession) -> int:
    """What an executor has beside its JVM's heap, by Spark's settings and defaults."""
    heap = megabytes(spark.conf.get("spark.executor.memory", "1g") or "1g")
    given = spark.conf.get("spark.executor.memoryOverhead", "")
    if given:
        return megabytes(given)
    return max(
        LEAST_MB, int(heap * float(spark.conf.get("spark.executor.memoryOverheadFactor", str(FACTOR)) or FACTOR))
    )


def megabytes(text: str) -> int:
    """Spark's way to write sizes: a number, in MiB where no unit follows."""
    match = re.fullmatch(r"(\d+)([kmgt]?)b?", text.strip().lower())
    assert match, text
    return int(int(match[1]) * UNITS[match[2] or "m"])
