"""The memory that a rank's processes need beside their executor's JVM, for clusters that kill whatever uses more."""

import math
import re

import numpy as np
import torch
from pyspark.sql import SparkSession

from models.bundles import architecture
from models.dataset import shuffle
from models.dataset.encoder import EncodedDocuments, to_inputs
from models.dataset.inputs import FIRST_TERM
from models.dataset.ragged import Ragged, Stack
from models.training.task import Task
from pipelines.errors import UserError

# Resident megabytes of Spark's Python worker, TorchDistributor's wrapper and torchrun, and of a rank with torch.
LAUNCH_MB, RANK_MB = 230 + 130 + 260, 420
# Copies of each weight: the weight, its gradient, two moments and the best epoch's weight. While a checkpoint is
# written, all but the gradient exist twice more: safetensors converts each tensor to bytes, then joins them.
COPIES = 5 + 2 * 4
DECODING_MB = 256  # documents that are being decoded, twice
LONG_BAG = 1000  # terms of a long document
TEMPORARIES = 2  # factor for values that a pass creates and frees, and for gradients of saved values
ENFORCING_MASTERS = ("yarn", "k8s")
MIN_OVERHEAD_MB, OVERHEAD_FACTOR = 384, 0.1  # Spark's defaults for spark.executor.memoryOverhead
MEBIBYTES = {"k": 1 / 1024, "m": 1, "g": 1024, "t": 1024**2}


def needed_mb(task: Task, terms: int) -> int:
    """An estimate, in MiB, for one rank whose model has a vocabulary of `terms` terms.

    Processes + copies of the weights + cache + decoding + pixels of two buckets + activations of one step's documents.
    """
    model = architecture.build_without_memory(task.model, task.options, terms=terms, classes=task.outputs)
    weights = 4 * sum(parameter.numel() for parameter in model.parameters()) / 2**20
    documents = -(-task.train.batch // (task.train.ranks * task.train.accumulate))
    input_spec = architecture.input_spec(task.model, task.options)
    bucket = -(-task.documents // (task.train.shuffle_buckets or shuffle.default_buckets(task.documents)))
    pixels = 2 * bucket * math.prod(input_spec.image) / 2**20 if input_spec.image else 0.0
    activations = TEMPORARIES * documents * saved_mb(task)
    return round(
        LAUNCH_MB + RANK_MB + COPIES * weights + 1024 * task.train.cache_gb + DECODING_MB + pixels + activations
    )


def saved_mb(task: Task) -> float:
    """The MiB that one of the longest documents' forward pass saves for the backward pass.

    Measured on a model with a vocabulary of one term, so that its weights are small.
    """
    model = architecture.build(task.model, task.options, terms=1, classes=task.outputs)
    input_spec = architecture.input_spec(task.model, task.options)
    bags = Ragged((np.zeros(LONG_BAG, np.int64), np.ones(LONG_BAG, np.float32)), np.array([0, LONG_BAG]))
    words = Ragged((np.full(input_spec.length, FIRST_TERM),), np.array([0, input_spec.length]))
    image = Stack(np.zeros((1, *(input_spec.image or (1, 1, 1))), np.uint8))
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    saved: dict[int, int] = {}  # bytes by address

    def record(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        outputs = model(to_inputs(EncodedDocuments(bags, words if input_spec.length else None, image)))
    # The outputs keep the saved tensors alive up to here, so no address was counted for two tensors.
    assert outputs.requires_grad
    return sum(saved.values()) / 2**20


def check(spark: SparkSession, task: Task, terms: int) -> None:
    """Refuse to launch ranks that YARN or Kubernetes would kill.

    Raises:
        UserError: spark.executor.memoryOverhead is too small for the ranks that run on one executor.
    """
    if not spark.sparkContext.master.startswith(ENFORCING_MASTERS):
        return
    cores = int(spark.conf.get("spark.executor.cores", "1") or 1)
    ranks = min(task.train.ranks, max(1, cores // int(spark.conf.get("spark.task.cpus", "1") or 1)))
    needed, available = ranks * needed_mb(task, terms), overhead_mb(spark)
    if needed > available:
        raise UserError(
            f"{ranks} ranks on an executor need about {needed} MB beside its JVM, which has {available} MB: "
            f"pass --conf spark.executor.memoryOverhead={needed}m (or lower train.cache_gb)"
        )


def overhead_mb(spark: SparkSession) -> int:
    """The MiB that an executor has beside its JVM's heap, by Spark's settings and defaults."""
    if overhead := spark.conf.get("spark.executor.memoryOverhead", ""):
        return megabytes(overhead)
    heap = megabytes(spark.conf.get("spark.executor.memory", "1g") or "1g")
    factor = float(spark.conf.get("spark.executor.memoryOverheadFactor", str(OVERHEAD_FACTOR)) or OVERHEAD_FACTOR)
    return max(MIN_OVERHEAD_MB, int(heap * factor))


def megabytes(size: str) -> int:
    """A size in the syntax of Spark's settings, in MiB, which is also the default unit."""
    match = re.fullmatch(r"(\d+)([kmgt]?)b?", size.strip().lower())
    assert match, size
    return int(int(match[1]) * MEBIBYTES[match[2] or "m"])
