"""The settings of a training, and the task that its ranks get."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from models.dataset.tfidf import Options as TfidfOptions
from models.options.checks import check
from models.options.fields import setting
from models.storage.json_values import JsonObject

# The headings of `--help`.
OBJECTIVE, STEPS, DURATION = "What is learned", "How each step is made", "How long"
PROCESSES, RECOVERY = "Processes and memory", "Interruptions, repetitions and records"

# What a model's outputs mean with each loss, as a bundle's manifest names it.
KIND_OF_LOSS = {"cross_entropy": "label", "binary": "labels", "mse": "target"}
CHOICES = {
    "optimizer": ("adamw", "adam", "sgd"),
    "schedule": ("constant", "linear", "cosine", "onecycle", "plateau"),
    "loss": tuple(KIND_OF_LOSS),
    "class_weights": ("none", "balanced"),
    "keep": ("best", "last"),
}
ABOVE_0 = ("epochs", "batch", "ranks", "lr", "timeout_s", "accumulate", "plateau_patience")
NOT_BELOW_0 = (
    *("weight_decay", "l1", "clip", "patience", "threads", "max_failures", "shards", "shuffle_buckets", "cache_gb"),
    *("checkpoint_s", "checkpoint_steps", "slots_s"),
)
SHARES = ("momentum", "warmup", "label_smoothing", "plateau_factor")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The `train.*` keys."""

    epochs: int = setting(10, "Passes over the training documents.", DURATION)
    batch: int = setting(64, "Documents in a global batch, over all ranks.", STEPS)
    accumulate: int = setting(1, "Pieces that each rank divides its part of a batch into, to save memory.", STEPS)
    lr: float = setting(1e-3, "Highest learning rate.", STEPS)
    loss: str = setting(
        "cross_entropy",
        "Loss: cross_entropy (one label per document), binary (any number of labels) or mse (a number).",
        OBJECTIVE,
    )
    class_weights: str = setting(
        "none",
        "How classes weigh: none (equally) or balanced (in inverse proportion to their size).",
        OBJECTIVE,
    )
    label_smoothing: float = setting(0.0, "Share of the target that is spread over all labels.", OBJECTIVE)
    optimizer: str = setting("adamw", "Optimizer: adamw, adam or sgd.", STEPS)
    momentum: float = setting(0.9, "Momentum of train.optimizer=sgd.", STEPS)
    weight_decay: float = setting(0.0, "L2 penalty with sgd and adam, decoupled weight decay with adamw.", OBJECTIVE)
    l1: float = setting(0.0, "L1 penalty: each step soft-thresholds the weights by lr times this.", OBJECTIVE)
    clip: float = setting(0.0, "Largest norm of the gradient; 0 does not clip it.", STEPS)
    schedule: str = setting(
        "linear", "How the learning rate changes: constant, linear, cosine, onecycle or plateau.", STEPS
    )
    warmup: float = setting(0.0, "Share of the steps in which the learning rate rises to its highest.", STEPS)
    plateau_factor: float = setting(0.5, "Factor that schedule=plateau lowers the learning rate by.", STEPS)
    plateau_patience: int = setting(
        1, "Epochs without a lower validation loss after which schedule=plateau lowers the rate.", STEPS
    )
    keep: str = setting(
        "best", "Weights that are kept: best (the epoch of the lowest validation loss) or last.", DURATION
    )
    patience: int = setting(
        3, "Epochs without a lower validation loss after which training ends; 0 never ends it.", DURATION
    )
    refit: bool = setting(
        False, "Whether to train anew, on train and validation, for as many epochs as were kept.", DURATION
    )
    autocast: bool = setting(False, "Whether matrix products are computed in bfloat16.", STEPS)
    seed: int = setting(0, "Seed of all random numbers of the training.", STEPS)
    ranks: int = setting(1, "Processes that train together, each in a task slot of Spark.", PROCESSES)
    shards: int = setting(
        0, "Parts of a global batch, each with its own random stream; 0 makes as many as ranks.", PROCESSES
    )
    shuffle_buckets: int = setting(
        0, "Parts in which documents are shuffled; 0 chooses by the number of documents.", PROCESSES
    )
    threads: int = setting(0, "CPU threads of each rank; 0 leaves the choice to the launcher.", PROCESSES)
    gpu: bool = setting(False, "Whether each rank takes a GPU.", PROCESSES)
    cache_gb: float = setting(
        1.0,
        "Gigabytes of decoded documents that each rank keeps; the rest is read again each epoch.",
        PROCESSES,
    )
    checkpoint_s: float = setting(60.0, "Seconds from one checkpoint to the next; 0 writes none by time.", RECOVERY)
    checkpoint_steps: int = setting(0, "Steps from one checkpoint to the next; 0 writes none by steps.", RECOVERY)
    max_failures: int = setting(3, "Launches that may follow a failed one.", RECOVERY)
    timeout_s: float = setting(
        600.0, "Seconds that a rank may stand still, or wait for another, before it counts as failed.", RECOVERY
    )
    slots_s: float = setting(
        180.0, "Seconds to wait for a task slot for each rank, on a cluster that may still grow.", RECOVERY
    )
    reuse: bool = setting(
        False, "Whether a finished run of equal settings and snapshot is taken as the result.", RECOVERY
    )
    tensorboard: bool = setting(False, "Whether to write TensorBoard's event files beside the bundle.", RECOVERY)

    @property
    def kind(self) -> str:
        """What the model's outputs mean, as a bundle's manifest names it."""
        return KIND_OF_LOSS[self.loss]

    def __post_init__(self) -> None:
        self.check_choices()
        self.check_numbers()
        check("train", self, above_0=ABOVE_0, shares=SHARES)
        for name in NOT_BELOW_0:
            if not getattr(self, name) >= 0:
                raise ValueError(f"train.{name} must be 0 or more, not {getattr(self, name)}")
        self.check_shards()

    def check_choices(self) -> None:
        """Raise ValueError for an unknown name, or for class weights without classes."""
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"train.{name} must be one of {', '.join(known)}, not {getattr(self, name)}")
        if self.class_weights != "none" and self.loss != "cross_entropy":
            raise ValueError("train.class_weights needs train.loss=cross_entropy, which gives a document one class")

    def check_numbers(self) -> None:
        """Raise ValueError for numbers that torch and numpy cannot use."""
        for item in fields(self):
            if isinstance(value := getattr(self, item.name), float) and not math.isfinite(value):
                raise ValueError(f"train.{item.name} must be a number, not {value}")
        if not abs(self.seed) < 2**63:
            raise ValueError("train.seed must fit into 64 bits")

    def check_shards(self) -> None:
        """Raise ValueError if ranks or shards would be left without work."""
        if self.shards and self.ranks > self.shards:
            raise ValueError(
                f"train.ranks={self.ranks} is more than train.shards={self.shards}, and a rank needs a whole shard"
            )
        if self.shards > self.batch or self.ranks > self.batch:
            raise ValueError(
                f"train.batch={self.batch} is less than train.shards or train.ranks, and each needs a document"
            )


# Options that change neither the weights nor the order in which they are computed; a resumed run may have others.
CHANGEABLE_ON_RESUME = (
    *("ranks", "threads", "gpu", "cache_gb", "checkpoint_s", "checkpoint_steps", "max_failures", "timeout_s"),
    *("slots_s", "reuse"),
)


@dataclass(frozen=True, kw_only=True)
class Task:
    """Everything that a rank gets. It is small and plain, because it is pickled on its way to the rank.

    Attributes:
        files: the feature files; only rows of batches up to `batch` are used.
        documents: how many documents the vocabulary's frequencies count.
        labels: of the train split, sorted; none if the model learns a target.
        model, options: the architecture's name and settings.
        folder: holds the vocabulary, and receives weights, checkpoints and exit records.
        tfidf, train: the settings of the groups `tfidf` and `train`.
        test_share, validation_share: of all documents.
        salt: of the hash that chooses the documents for validation.
        attempt: the name of this launch, so that records of an earlier launch's ranks are not taken for this one's.
        progress: whether to print progress lines.
    """

    files: Sequence[str]
    batch: int
    documents: int
    labels: Sequence[str]
    model: str
    folder: str
    options: JsonObject = field(default_factory=dict)
    tfidf: TfidfOptions = field(default_factory=TfidfOptions)
    train: Options = field(default_factory=Options)
    test_share: float = 0.1
    validation_share: float = 0.1
    salt: int = 0
    attempt: str = ""
    progress: bool = True

    @property
    def exit_folder(self) -> str:
        """The folder below which the ranks of this launch record how they ended."""
        return f"{self.folder}/attempts/{self.attempt}" if self.attempt else self.folder

    @property
    def kind(self) -> str:
        """What the model's outputs mean, as a bundle's manifest names it."""
        return self.train.kind

    @property
    def outputs(self) -> int:
        """The number of the model's outputs for a document."""
        return 1 if self.kind == "target" else len(self.labels)

    @property
    def shards(self) -> int:
        """The number of shards of a global batch."""
        return self.train.shards or self.train.ranks
