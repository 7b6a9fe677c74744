"""Where a training stands, and how a checkpoint holds it: plain values, and tensors by name."""

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn, optim

from models.training.optimizers import Plateau

SEARCH, REFIT = 0, 1


@dataclass
class Outcome:
    """The epochs behind some weights, the mean loss of the last one, and validation metrics if any."""

    epochs: int = 0
    loss: float = math.nan
    validation: dict[str, float] | None = None

    def beats(self, other: "Outcome") -> bool:
        """Whether its validation loss is lower; where none was measured, the later outcome beats the earlier.

        The loss, not the accuracy: on a few hundred documents the accuracy's best epoch is mostly chance.
        """
        if self.validation is None or other.validation is None:
            return True
        return self.validation["loss"] < other.validation["loss"]


@dataclass
class State:
    """Where a training stands: what a checkpoint holds besides tensors.

    `step` steps of `epoch` are done, with `total` = [sum of losses, sum of weights]; `steps` in all, of both phases.
    `found` is the outcome of the phase before.
    """

    phase: int = SEARCH
    epoch: int = 1
    step: int = 0
    steps: int = 0
    total: list[float] = field(default_factory=lambda: [0.0, 0.0])
    best: Outcome = field(default_factory=Outcome)
    found: Outcome = field(default_factory=Outcome)
    plateau: Plateau = field(default_factory=Plateau)

    @classmethod
    def of(cls, values: dict[str, Any]) -> "State":
        """From a checkpoint's values."""
        nested = {"best": Outcome, "found": Outcome, "plateau": Plateau}
        return cls(**{name: nested[name](**value) if name in nested else value for name, value in values.items()})


Saved = tuple[dict[str, Tensor], State]


def tensors(model: nn.Module, descent: optim.Optimizer, kept: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that a checkpoint holds: those of model and optimizer, and the best weights so far."""
    found = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    found |= {f"kept.{name}": tensor for name, tensor in kept.items()}
    for number, values in descent.state_dict()["state"].items():
        found |= {f"optimizer.{number}.{name}": value for name, value in values.items() if value is not None}
    return found


def restore(tensors: dict[str, Tensor], model: nn.Module, descent: optim.Optimizer) -> dict[str, Tensor]:
    """Give model and optimizer what `tensors` gave of them; the best weights that it kept."""
    groups: dict[str, dict[str, Tensor]] = {"model": {}, "kept": {}, "optimizer": {}}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        groups[kind][rest] = tensor
    model.load_state_dict(groups["model"])
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in groups["optimizer"].items():
        number, _, slot = name.partition(".")
        slots.setdefault(int(number), {})[slot] = tensor
    descent.load_state_dict(descent.state_dict() | {"state": slots})
    return groups["kept"]
