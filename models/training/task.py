"""What a training is told: its settings and its task."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from models.training.tfidf import Options as Weighting

OPTIMIZERS = ("adamw", "adam", "sgd")
SCHEDULES = ("constant", "linear", "cosine")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The `train.*` keys.

    `batch`: documents in a global batch, over all ranks. `warmup`: share of the steps in which the learning
    rate rises. `clip`: largest norm of the gradient, 0 for none. `patience`: epochs without a better
    validation accuracy after which training ends, 0 for never. `refit`: then train anew on train and
    validation for the epochs that were best. `threads`: of each rank, 0 for what the launcher says.
    `ranks`, `reuse` and `max_failures` are the launcher's. `timeout_s`: how long a rank waits for another.
    """

    epochs: int = 10
    batch: int = 64
    lr: float = 1e-3
    optimizer: str = "adamw"
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "linear"
    warmup: float = 0.0
    label_smoothing: float = 0.0
    clip: float = 0.0
    patience: int = 3
    refit: bool = False
    seed: int = 0
    ranks: int = 1
    threads: int = 0
    reuse: bool = False
    max_failures: int = 3
    timeout_s: float = 600.0

    def __post_init__(self) -> None:
        self.check_names()
        for name in ("epochs", "batch", "ranks", "lr", "timeout_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"train.{name} must be above 0, not {getattr(self, name)}")
        for name in ("weight_decay", "clip", "patience", "threads", "max_failures"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"train.{name} must be 0 or more, not {getattr(self, name)}")
        for name in ("momentum", "warmup", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"train.{name} must lie in 0..1, 1 excluded, not {getattr(self, name)}")

    def check_names(self) -> None:
        """Raise ValueError for an optimizer or a schedule that there is not."""
        for name, known in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
            if getattr(self, name) not in known:
                raise ValueError(f"train.{name} must be one of {', '.join(known)}, not {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class Task:
    """All that a rank is told; small and plain, for it is pickled on its way.

    `files`: feature files, of which rows of batches up to `batch` count; `documents`: the number behind the
    vocabulary's frequencies; `labels`: sorted; `folder`: holds the vocabulary, gets weights and proofs.
    """

    files: Sequence[str]
    batch: int
    documents: int
    labels: Sequence[str]
    model: str
    folder: str
    options: dict[str, Any] = field(default_factory=dict)
    tfidf: Weighting = field(default_factory=Weighting)
    train: Options = field(default_factory=Options)
    test_share: float = 0.1
    validation_share: float = 0.1
    salt: int = 0
    progress: bool = True
