"""The state of a training: what a checkpoint holds besides the history, as plain values and as tensors by name."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor, nn, optim

from models.storage.json_values import JsonObject
from models.training.optimizers import Plateau

SEARCH, REFIT = 0, 1  # the phases: find the best epoch; then train anew on train and validation


@dataclass(frozen=True)
class Outcome:
    """The result of an epoch: its number, its mean training loss, and the validation metrics, if any."""

    epochs: int = 0
    loss: float = math.nan
    validation: dict[str, float] | None = None

    def beats(self, other: "Outcome") -> bool:
        """Whether its validation loss is lower. Without validation, the later outcome beats the earlier one.

        The loss decides, not the accuracy: on a few hundred documents the epoch with the best accuracy is mostly
        chance.
        """
        if self.validation is None or other.validation is None:
            return True
        return self.validation["loss"] < other.validation["loss"]


@dataclass
class TrainingState:
    """The state of a training.

    Attributes:
        phase: `SEARCH` or `REFIT`.
        epoch, step: the epoch of this phase, from 1, and the steps of it that have been taken.
        steps: all steps that have been taken, in both phases.
        loss_sum, weight_sum: of the documents in the steps of this epoch.
        best: the outcome whose weights are kept.
        searched: in the refit, the best outcome of the search.
        plateau: the state of the "plateau" schedule.
    """

    phase: int = SEARCH
    epoch: int = 1
    step: int = 0
    steps: int = 0
    loss_sum: float = 0.0
    weight_sum: float = 0.0
    best: Outcome = field(default_factory=Outcome)
    searched: Outcome = field(default_factory=Outcome)
    plateau: Plateau = field(default_factory=Plateau)

    def add_step(self, loss: float, weight: float) -> None:
        """Count a step on a global batch with this sum of losses and of documents' weights."""
        self.step, self.steps = self.step + 1, self.steps + 1
        self.loss_sum, self.weight_sum = self.loss_sum + loss, self.weight_sum + weight

    def begin_epoch(self) -> None:
        """Go on to the next epoch."""
        self.epoch, self.step, self.loss_sum, self.weight_sum = self.epoch + 1, 0, 0.0, 0.0

    @property
    def mean_loss(self) -> float:
        """The mean loss of a document in the steps of this epoch."""
        return self.loss_sum / self.weight_sum

    def to_dict(self) -> JsonObject:
        """The state as checkpoints hold it."""
        return {
            "phase": self.phase,
            "epoch": self.epoch,
            "step": self.step,
            "steps": self.steps,
            "total": [self.loss_sum, self.weight_sum],
            "best": asdict(self.best),
            "found": asdict(self.searched),
            "plateau": asdict(self.plateau),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainingState":
        """The state that `to_dict` turned into `values`."""
        loss_sum, weight_sum = values["total"]
        return cls(
            **{name: values[name] for name in ("phase", "epoch", "step", "steps")},
            loss_sum=loss_sum,
            weight_sum=weight_sum,
            best=Outcome(**values["best"]),
            searched=Outcome(**values["found"]),
            plateau=Plateau(**values["plateau"]),
        )


def state_tensors(
    model: nn.Module, optimizer: optim.Optimizer, best_weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The tensors of a checkpoint: the model's, the optimizer's, and the best weights, if kept apart."""
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"kept.{name}": tensor for name, tensor in best_weights.items()}
    for number, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{name}": value for name, value in slots.items() if value is not None}
    return tensors


def restore(tensors: Mapping[str, Tensor], model: nn.Module, optimizer: optim.Optimizer) -> dict[str, Tensor]:
    """Load the tensors of `state_tensors` into model and optimizer.

    Returns:
        The best weights that were kept; empty if there were none.
    """
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "kept": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        group, _, rest = name.partition(".")
        groups[group][rest] = tensor
    model.load_state_dict(groups["model"])
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in groups["optimizer"].items():
        number, _, slot = name.partition(".")
        slots.setdefault(int(number), {})[slot] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": slots})
    return groups["kept"]
