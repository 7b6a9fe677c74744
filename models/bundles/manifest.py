"""A bundle's `model.json`, which describes the bundle and is checked before it is used."""

import hashlib
import json
import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import cast

from models.storage import files
from models.storage.json_values import JsonObject

FILE = "model.json"
FORMAT = 2
KINDS = ("label", "labels", "target")  # one of the labels, any number of them, a number
MAX_BYTES = 2**24
TYPES = {
    "format": int,
    "model": str,
    "options": dict,
    "tfidf": dict,
    "labels": list,
    "task": dict,
    "documents": int,
    "features": dict,
    "snapshot": dict,
    "train": dict,
    "digests": dict,
}


@dataclass(frozen=True)
class TaskDescription:
    """What a model's outputs mean: one of `KINDS`, and for a target the scale that it was learnt with."""

    kind: str
    mean: float | None = None
    std: float | None = None

    def to_dict(self) -> JsonObject:
        """The task as JSON."""
        return {"kind": self.kind} | ({"mean": self.mean, "std": self.std} if self.kind == "target" else {})


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of `model.json`.

    Attributes:
        model: the architecture, or "ensemble".
        options: the architecture's settings.
        tfidf: the settings of `tfidf.Options`.
        labels: in the order of the outputs, sorted; none if the model predicts a target.
        task: what the outputs mean.
        documents: how many documents the vocabulary's frequencies count.
        features: how text becomes terms: the settings of the feature set.
        snapshot: which state of the tables the model was trained on.
        train: the settings of the training.
        digests: SHA-256 of the bundle's other files, by their names.
    """

    model: str
    options: JsonObject
    tfidf: JsonObject
    labels: list[str]
    task: TaskDescription
    documents: int
    features: JsonObject
    snapshot: JsonObject
    train: JsonObject
    digests: JsonObject = field(default_factory=dict)

    @property
    def outputs(self) -> int:
        """The number of the model's outputs for a document."""
        return 1 if self.task.kind == "target" else len(self.labels)

    def to_dict(self) -> JsonObject:
        """The manifest as `model.json` holds it."""
        return {
            "format": FORMAT,
            "model": self.model,
            "options": self.options,
            "tfidf": self.tfidf,
            "labels": [*self.labels],
            "task": self.task.to_dict(),
            "documents": self.documents,
            "features": self.features,
            "snapshot": self.snapshot,
            "train": self.train,
            "digests": self.digests,
        }

    def check_digest(self, name: str, content: bytes) -> None:
        """Check that `content` is what the bundle's file `name` held when it was published.

        Raises:
            ValueError: The digests differ.
        """
        if digest(content) != self.digests.get(name):
            raise ValueError(f"{name} is not the file that {FILE} was written for: its digest differs")


def read_manifest(folder: str, *, models: Collection[str]) -> Manifest:
    """The manifest of the bundle `folder`, whose model must be one of `models`.

    Raises:
        ValueError: `model.json` is missing, larger than `MAX_BYTES`, not JSON, or holds a key or value that no bundle
            of this format can have.
    """
    try:
        content = json.loads(files.read(f"{folder}/{FILE}", max_bytes=MAX_BYTES))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError(f"{FILE} is not JSON") from None
    if not isinstance(content, dict) or {key: type(value) for key, value in content.items()} != TYPES:
        raise ValueError(f"{FILE} must hold the keys {', '.join(TYPES)}, each with a value of its type")
    if content["format"] != FORMAT:
        raise ValueError(f"its format is {content['format']}, this version reads {FORMAT}")
    if content["model"] not in models:
        raise ValueError(f"its model is {content['model']!r}, which is not one of {', '.join(sorted(models))}")
    if not 0 < content["documents"] < 2**63:
        raise ValueError("its number of documents is impossible")
    labels, task = content["labels"], _parse_task(content["task"])
    if (
        bool(labels) == (task.kind == "target")
        or not all(type(label) is str for label in labels)
        or labels != sorted(set(labels))
    ):
        raise ValueError("its labels are not distinct strings in sorted order")
    del content["format"]
    return Manifest(**(content | {"task": task}))


def _parse_task(task: JsonObject) -> TaskDescription:
    """What the outputs mean.

    Raises:
        ValueError: The kind is not one of `KINDS`, or a target has no scale.
    """
    if (kind := task.get("kind")) not in KINDS:
        raise ValueError(f"its task is {kind!r}, which is not one of {', '.join(KINDS)}")
    if kind != "target":
        return TaskDescription(str(kind))
    mean, std = (task.get(name) for name in ("mean", "std"))
    if not all(type(value) is float and math.isfinite(value) for value in (mean, std)):
        raise ValueError("its target has no scale")
    return TaskDescription("target", cast("float", mean), cast("float", std))


def write_manifest(folder: str, manifest: Manifest) -> None:
    """Write `model.json`, which must be the last file of a bundle to be written."""
    files.write(f"{folder}/{FILE}", json.dumps(manifest.to_dict(), ensure_ascii=False, indent=2).encode())


def digest(content: bytes) -> str:
    """SHA-256 as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
