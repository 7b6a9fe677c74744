"""What `evaluate` and `predict` share: a bundle in the hands of Spark's workers."""

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from models.training import bundle as bundles
from models.training.bundle import ENSEMBLE, Bundle, Ensemble
from models.training.encoding import Stored
from models.training.manifest import read_manifest
from pipelines import files, words
from pipelines.config import Config, Names, UserError, members


def folder(path: str) -> str:
    """A bundle's address that means the same in every process."""
    return files.absolute(path).rstrip("/")


def known() -> list[str]:
    """The models that a bundle may hold."""
    return [*members("model"), ENSEMBLE]


def manifest(path: str) -> dict[str, Any]:
    """What a bundle says of itself.

    Raises:
        UserError: it is none, or a foreign one.
    """
    try:
        return read_manifest(folder(path), models=known())
    except ValueError as error:
        raise UserError(f"{path} is not a bundle that can be used: {error}") from error


def load(path: str) -> Bundle | Ensemble:
    """A bundle ready to score.

    Raises:
        UserError: it is torn, tampered with or foreign.
    """
    try:
        return bundles.load(path, models=known())
    except ValueError as error:
        raise UserError(str(error)) from error


loaded = cache(load)  # in a worker, which scores many batches with one


def best(bundle: Bundle | Ensemble, stored: Stored) -> tuple[pa.Array, pa.Array]:
    """The most probable label of each document, and its probability."""
    probabilities = bundle.score(stored)
    winners = probabilities.argmax(1)
    return pa.array(np.array(bundle.labels)[winners], pa.string()), pa.array(probabilities.max(1), pa.float32())


def features(found: dict[str, Any]) -> words.Options:
    """How the bundle's text becomes terms."""
    return words.Options(**{key: value for key, value in found["features"].items() if key != "name"})


def with_features(config: Config, found: dict[str, Any]) -> Config:
    """A configuration that reads the feature set which the bundle was trained on."""
    names = Names(config.names.source, found["features"]["name"], found["model"])
    return dataclasses.replace(config, features=features(found), names=names)
