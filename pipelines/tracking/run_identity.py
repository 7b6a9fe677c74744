"""What makes two trainings the same, and how one that stopped is resumed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from models.bundles import manifest
from models.dataset import tfidf
from models.storage import files
from models.training import task
from pipelines.errors import UserError
from pipelines.lakehouse.splits import Split
from pipelines.text import tokenizer

RUN_FILE = "run.json"
FIGURES_FILE = "figures.json"  # the ranks' results, in case the driver dies between training and evaluation


@dataclass(frozen=True)
class TrainingSettings:
    """Everything but the documents that decides a training's weights: what is trained, and how.

    `model_options`: the model's own `Options`; `feature_set`: the name of the feature set made with `features`.
    """

    dataset: str
    model: str
    model_options: Any
    feature_set: str
    features: tokenizer.Options
    tfidf: tfidf.Options
    split: Split
    train: task.Options

    @property
    def shards(self) -> int:
        """The number of virtual shards of a global batch."""
        return self.train.shards or self.train.ranks

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values, without those that may differ when a run is resumed."""
        train = {key: value for key, value in asdict(self.train).items() if key not in task.CHANGEABLE_ON_RESUME}
        return {
            "dataset": self.dataset,
            "model": {"name": self.model, **asdict(self.model_options)},
            "features": asdict(self.features),
            "tfidf": asdict(self.tfidf),
            "split": asdict(self.split),
            "train": train,
        }

    def digest(self, snapshot: int) -> str:
        """Sixteen hexadecimal digits that name the settings and the snapshot."""
        content = json.dumps([self.to_dict(), self.shards, snapshot], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class StartedRun:
    """A note in a run's folder, written when the run starts, so that it can be resumed."""

    settings: dict[str, Any]
    shards: int
    snapshot: int

    @classmethod
    def read(cls, folder: str) -> "StartedRun | None":
        """The note in a run's folder, if there is one."""
        return cls(**json.loads(files.read(f"{folder}/{RUN_FILE}"))) if RUN_FILE in files.names(folder) else None

    def write(self, folder: str) -> None:
        """Write the note into the run's folder."""
        files.write(f"{folder}/{RUN_FILE}", json.dumps(asdict(self), sort_keys=True).encode())


def snapshot_of(folder: str) -> int | None:
    """The snapshot that a run started with, or that a bundle was trained on; None if the folder says neither."""
    if started := StartedRun.read(folder):
        return int(started.snapshot)
    if manifest.FILE in files.names(folder):
        return int(json.loads(files.read(f"{folder}/{manifest.FILE}"))["snapshot"]["batch"])
    return None


def resume(run: str, folder: str, settings: TrainingSettings, snapshot: str) -> tuple[TrainingSettings, str]:
    """The settings and the snapshot with which `run` goes on: its shards and snapshot are those that it started with.

    For a run that has not started, both are returned unchanged.

    Raises:
        UserError: the run started with other settings or another snapshot, or there are more ranks than shards.
    """
    started = StartedRun.read(folder)
    if not started:
        return settings, snapshot
    if snapshot not in ("latest", str(started.snapshot)):
        raise UserError(f"run={run} was started with snapshot={started.snapshot}, not {snapshot}")
    current, original = (_flatten(_without_shards(values)) for values in (settings.to_dict(), started.settings))
    if differing := [f"{key}={value}" for key, value in original.items() if current.get(key) != value]:
        raise UserError(f"run={run} was started with other settings: {', '.join(differing)}")
    if settings.train.shards not in (0, started.shards) or settings.train.ranks > started.shards:
        raise UserError(
            f"run={run} was started with {started.shards} shards: give train.ranks={started.shards} or fewer"
        )
    train = replace(settings.train, shards=started.shards)
    return replace(settings, train=train), str(started.snapshot)


def _without_shards(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without the number of shards, which is set or follows from the ranks."""
    train = {key: value for key, value in values["train"].items() if key != "shards"}
    return {**values, "train": train}


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= _flatten(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat
