"""The figures of a finished training. Free of torch, because the driver receives them from the ranks by pickle."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from models.dataset.target_scaling import TargetScale
from models.storage.json_values import JsonObject


@dataclass(frozen=True, kw_only=True)
class TrainingCourse:
    """The course of a training and what it cost.

    Attributes:
        ranks, shards: their numbers.
        steps: all that have been taken, by every launch and in both phases (search and refit).
        resumed_at: the step that this launch began at.
        epochs, loss, documents: of the phase whose weights were kept: its epochs up to them, the mean training loss of
            the last of these, and the documents that it learnt from.
        parameters: of the model.
        memory_mb: the most that any rank had at the end, in MB.
        stepping: the seconds that one rank spent in the steps of this launch.
        seen: the documents in the global batches of these steps.
        seconds: from the start of this launch's ranks to its end.
    """

    ranks: int
    shards: int
    steps: int
    resumed_at: int
    epochs: int
    loss: float
    documents: int
    parameters: int
    memory_mb: int
    stepping: float
    seen: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class TrainingFigures(TrainingCourse):
    """What each rank returns of a finished training, equal on all ranks except for `stepping`.

    Attributes:
        validation: the best epoch's loss and other metrics on the validation documents; None without any.
        target: the scale of the targets.
    """

    validation: dict[str, float] | None
    target: TargetScale

    def to_dict(self) -> JsonObject:
        """The figures as `figures.json` holds them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainingFigures":
        """The figures that `to_dict` turned into `values`, which may hold other keys, too."""
        own = {item.name: values[item.name] for item in fields(cls)}
        return cls(**(own | {"target": TargetScale(**values["target"])}))
