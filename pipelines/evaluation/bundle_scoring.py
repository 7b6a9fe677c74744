"""What `evaluate` and `predict` share: a bundle in the hands of Spark's workers."""

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from models.bundles import bundle as bundles
from models.bundles.bundle import ENSEMBLE, Bundle, Ensemble
from models.bundles.manifest import Manifest, read_manifest
from models.dataset.encoder import StoredDocuments
from models.storage import addresses
from pipelines.config import Config, Names, members
from pipelines.errors import UserError
from pipelines.text import tokenizer


def folder(path: str) -> str:
    """A bundle's address that means the same in every process."""
    return addresses.absolute(path).rstrip("/")


def known() -> list[str]:
    """The models that a bundle may hold."""
    return [*members("model"), ENSEMBLE]


def manifest(path: str) -> Manifest:
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


ANSWERS = pa.schema(
    {
        "predicted": pa.string(),
        "probability": pa.float32(),
        "predicted_labels": pa.list_(pa.string()),
        "predicted_value": pa.float64(),
    }
)


def answers(bundle: Bundle | Ensemble, stored: StoredDocuments) -> pa.RecordBatch:
    """What a bundle says of each document, as `ANSWERS`; the columns of other tasks than its own are null.

    For one label it is the most probable with its probability; for several those more probable than not.
    """
    scores = bundle.score(stored)
    columns = {field.name: pa.nulls(len(scores), field.type) for field in ANSWERS}
    if bundle.kind == "target":
        columns["predicted_value"] = pa.array(scores[:, 0], pa.float64())
    elif bundle.kind == "labels":
        rows, places = np.nonzero(scores > 0.5)
        offsets = pa.array(np.searchsorted(rows, np.arange(len(scores) + 1)), pa.int32())
        columns["predicted_labels"] = pa.ListArray.from_arrays(offsets, _names(bundle, places))
    else:
        columns["predicted"] = _names(bundle, scores.argmax(1))
        columns["probability"] = pa.array(scores.max(1), pa.float32())
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=ANSWERS)


def _names(bundle: Bundle | Ensemble, places: Any) -> pa.Array:
    return pa.array(np.array(bundle.labels)[places], pa.string())


def features(found: Manifest) -> tokenizer.Options:
    """How the bundle's text becomes terms."""
    values: dict[str, Any] = {key: value for key, value in found.features.items() if key != "name"}
    return tokenizer.Options(**values)


def with_features(config: Config, found: Manifest) -> Config:
    """A configuration that reads the feature set which the bundle was trained on."""
    names = Names(config.names.source, str(found.features["name"]), found.model)
    return dataclasses.replace(config, features=features(found), names=names)
