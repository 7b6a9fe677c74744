"""The settings of a training, and the task that its ranks are given."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from models.dataset.tfidf import Options as TfidfOptions
from models.parts.option_checks import check
from models.storage.json_values import JsonObject

CHOICES = {
    "optimizer": ("adamw", "adam", "sgd"),
    "schedule": ("constant", "linear", "cosine", "onecycle", "plateau"),
    "loss": ("cross_entropy", "binary", "mse"),
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
    """The `train.*` keys.

    What is learnt:
        loss: "cross_entropy" (one label a document), "binary" (any number of labels, a sigmoid for each), "mse" (of the
        target, shifted and scaled to mean 0 and variance 1).
        class_weights: "balanced" counts each document with documents / (classes · documents of its class).
        label_smoothing: the share of the target that is spread over all labels. l1: soft threshold of lr · l1 after
        each step (Lasso). weight_decay: L2 for sgd and adam, decoupled for adamw.
    How:
        batch: documents in a global batch, over all ranks; each rank computes its part in `accumulate` pieces, to save
        memory. lr, optimizer, momentum (sgd). clip: largest norm of the gradient, 0 for none.
        schedule: see `optimization`; warmup: share of the steps in which the learning rate rises; plateau_factor and
        plateau_patience: what it is multiplied by after so many epochs without a lower validation loss.
        autocast: matrix products in bfloat16. seed: of everything.
    For how long:
        epochs; keep: the weights of the epoch with the lowest validation loss ("best"), or of the last one; patience:
        epochs without a lower validation loss after which training ends, 0 for never. refit: then train anew on train
        and validation for as many epochs as were kept.
    Where:
        ranks: processes. shards: a global batch is cut into so many, each with a random stream of its own; ranks own
        whole shards (0: as many as ranks). shuffle_buckets: documents are shuffled in so many parts (0: by their
        number).
        threads: of each rank, 0 for what the launcher says. gpu: one for each rank.
        cache_gb: memory of a rank for decoded documents; what does not fit is read anew in each epoch.
    In case:
        checkpoint_s and checkpoint_steps: write one after so many seconds or steps, 0 for never. max_failures: launches
        after a failed one. timeout_s: how long a rank waits for another, or may stand still. slots_s: how long the
        launch waits for a task slot for each rank, on a cluster that may still grow. reuse: a finished run of equal
        settings is the result. tensorboard: write event files beside the bundle.
    """

    epochs: int = 10
    batch: int = 64
    accumulate: int = 1
    lr: float = 1e-3
    loss: str = "cross_entropy"
    class_weights: str = "none"
    label_smoothing: float = 0.0
    optimizer: str = "adamw"
    momentum: float = 0.9
    weight_decay: float = 0.0
    l1: float = 0.0
    clip: float = 0.0
    schedule: str = "linear"
    warmup: float = 0.0
    plateau_factor: float = 0.5
    plateau_patience: int = 1
    keep: str = "best"
    patience: int = 3
    refit: bool = False
    autocast: bool = False
    seed: int = 0
    ranks: int = 1
    shards: int = 0
    shuffle_buckets: int = 0
    threads: int = 0
    gpu: bool = False
    cache_gb: float = 1.0
    checkpoint_s: float = 60.0
    checkpoint_steps: int = 0
    max_failures: int = 3
    timeout_s: float = 600.0
    slots_s: float = 180.0
    reuse: bool = False
    tensorboard: bool = False

    def __post_init__(self) -> None:
        self.check_choices()
        self.check_numbers()
        check("train", self, above_0=ABOVE_0, shares=SHARES)
        for name in NOT_BELOW_0:
            if not getattr(self, name) >= 0:
                raise ValueError(f"train.{name} must be 0 or more, not {getattr(self, name)}")
        self.check_shards()

    def check_choices(self) -> None:
        """Raise ValueError for a name that there is not."""
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(f"train.{name} must be one of {', '.join(known)}, not {getattr(self, name)}")
        if self.class_weights != "none" and self.loss != "cross_entropy":
            raise ValueError("train.class_weights needs train.loss=cross_entropy: one class a document")

    def check_numbers(self) -> None:
        """Raise ValueError for what torch and numpy cannot work with."""
        for item in fields(self):
            if isinstance(value := getattr(self, item.name), float) and not math.isfinite(value):
                raise ValueError(f"train.{item.name} must be a number, not {value}")
        if not abs(self.seed) < 2**63:
            raise ValueError("train.seed must fit into 64 bits")

    def check_shards(self) -> None:
        """Raise ValueError where ranks or shards would be left without work."""
        if self.shards and self.ranks > self.shards:
            raise ValueError(
                f"train.ranks={self.ranks} is more than train.shards={self.shards}: a rank owns whole shards"
            )
        if self.shards > self.batch or self.ranks > self.batch:
            raise ValueError(
                f"train.batch={self.batch} is less than train.shards or train.ranks: a shard needs a document"
            )


# Options that change neither the weights nor the order in which they are computed; a resumed run may have others.
CHANGEABLE_ON_RESUME = (
    *("ranks", "threads", "gpu", "cache_gb", "checkpoint_s", "checkpoint_steps", "max_failures", "timeout_s"),
    *("slots_s", "reuse"),
)


@dataclass(frozen=True, kw_only=True)
class Task:
    """Everything that a rank is given. It is small and plain, because it is pickled on its way to the rank.

    Attributes:
        files: feature files; of their rows those of batches up to `batch` count.
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
        return {"cross_entropy": "label", "binary": "labels", "mse": "target"}[self.train.loss]

    @property
    def outputs(self) -> int:
        """How many numbers the model gives for a document."""
        return 1 if self.train.loss == "mse" else len(self.labels)

    @property
    def shards(self) -> int:
        """How many shards a global batch is cut into."""
        return self.train.shards or self.train.ranks
