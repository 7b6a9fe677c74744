"""What makes two trainings the same, and how one that stopped goes on."""

import hashlib
import json
from dataclasses import asdict, replace
from typing import Any

from models.bundles.manifest import FILE as MANIFEST
from models.storage import files
from models.training.task import CHANGEABLE_ON_RESUME
from pipelines.config import Config
from pipelines.errors import UserError

FILE = "run.json"
FIGURES = "figures.json"  # what the ranks found, for a driver that ends between training and evaluation


def settings(config: Config) -> dict[str, Any]:
    """All that decides the weights, but the documents: what is trained, and how."""
    train = {key: value for key, value in asdict(config.train).items() if key not in CHANGEABLE_ON_RESUME}
    return {
        "dataset": config.dataset_name,
        "model": {"name": config.names.model, **asdict(config.model)},
        "features": asdict(config.features),
        "tfidf": asdict(config.tfidf),
        "split": asdict(config.split),
        "train": train,
    }


def digest(config: Config, snapshot: dict[str, Any]) -> str:
    """Sixteen hexadecimal digits that name the settings and the snapshot."""
    shards = config.train.shards or config.train.ranks
    content = json.dumps([settings(config), shards, snapshot["batch"]], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def begin(config: Config, snapshot: dict[str, Any], folder: str) -> None:
    """Note in a run's folder what it is, so that it can go on."""
    shards = config.train.shards or config.train.ranks
    content = {"settings": settings(config), "shards": shards, "snapshot": snapshot["batch"]}
    files.write(f"{folder}/{FILE}", json.dumps(content, sort_keys=True).encode())


def snapshot(folder: str) -> int | None:
    """The snapshot that a run began with, or that a bundle saw; None where neither is in the folder."""
    names = files.names(folder)
    if FILE in names:
        return int(json.loads(files.read(f"{folder}/{FILE}"))["snapshot"])
    if MANIFEST in names:
        return int(json.loads(files.read(f"{folder}/{MANIFEST}"))["snapshot"]["batch"])
    return None


def resumed(config: Config, folder: str) -> Config:
    """The configuration with which `run=` goes on: its shards and its snapshot are those that it began with.

    Raises:
        UserError: its settings are others, or there are more ranks than shards.
    """
    if FILE not in files.names(folder):
        return config
    begun = json.loads(files.read(f"{folder}/{FILE}"))
    if config.snapshot not in ("latest", str(begun["snapshot"])):
        raise UserError(f"run={config.run} was begun with snapshot={begun['snapshot']}, not {config.snapshot}")
    ours, theirs = _flat(_before_shards(settings(config))), _flat(_before_shards(begun["settings"]))
    if other := [f"{key}={value}" for key, value in theirs.items() if ours.get(key) != value]:
        raise UserError(f"run={config.run} was begun with other settings: {', '.join(other)}")
    if config.train.shards not in (0, begun["shards"]) or config.train.ranks > begun["shards"]:
        raise UserError(
            f"run={config.run} was begun with {begun['shards']} shards: take train.ranks={begun['shards']} or fewer"
        )
    return replace(config, snapshot=str(begun["snapshot"]), train=replace(config.train, shards=begun["shards"]))


def _before_shards(values: dict[str, Any]) -> dict[str, Any]:
    """Settings without the shards, which may be given or follow from the ranks."""
    return values | {"train": {key: value for key, value in values["train"].items() if key != "shards"}}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        found |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return found
