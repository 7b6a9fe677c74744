"""What `evaluate` and `predict` share: loading a bundle in Spark's workers, and its predictions."""

from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from models.bundles.bundle import Bundle, Ensemble, load
from models.bundles.manifest import Manifest, read_manifest
from models.dataset.encoder import StoredDocuments
from pipelines.errors import UserError
from pipelines.text import tokenizer

ANSWERS = pa.schema(
    {
        "predicted": pa.string(),
        "probability": pa.float32(),
        "predicted_labels": pa.list_(pa.string()),
        "predicted_value": pa.float64(),
    }
)


def manifest_of(path: str, models: tuple[str, ...]) -> Manifest:
    """A bundle's manifest; its model must be one of `models`.

    Raises:
        UserError: there is no bundle, or one of an unknown model or version.
    """
    try:
        return read_manifest(path, models=models)
    except ValueError as error:
        raise UserError(f"{path} is not a usable bundle: {error}") from error


def load_bundle(path: str, models: tuple[str, ...]) -> Bundle | Ensemble:
    """Load a bundle for scoring.

    Raises:
        UserError: the bundle is incomplete, was changed, or is of an unknown model or version.
    """
    try:
        return load(path, models=models)
    except ValueError as error:
        raise UserError(str(error)) from error


cached_bundle = cache(load_bundle)  # in a worker, which scores many batches with one bundle


def answer(bundle: Bundle | Ensemble, stored: StoredDocuments) -> pa.RecordBatch:
    """What a bundle predicts for each document, as `ANSWERS`; columns of other tasks than its own are null.

    With one label it is the most probable one, with its probability; with several, those more probable than not.
    """
    scores = bundle.score(stored)
    columns = {field.name: pa.nulls(len(scores), field.type) for field in ANSWERS}
    if bundle.kind == "target":
        columns["predicted_value"] = pa.array(scores[:, 0], pa.float64())
    elif bundle.kind == "labels":
        rows, indices = np.nonzero(scores > 0.5)
        offsets = pa.array(np.searchsorted(rows, np.arange(len(scores) + 1)), pa.int32())
        columns["predicted_labels"] = pa.ListArray.from_arrays(offsets, _label_names(bundle, indices))
    else:
        columns["predicted"] = _label_names(bundle, scores.argmax(1))
        columns["probability"] = pa.array(scores.max(1), pa.float32())
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=ANSWERS)


def _label_names(bundle: Bundle | Ensemble, indices: Any) -> pa.Array:
    return pa.array(np.array(bundle.labels)[indices], pa.string())


def tokenizer_options(manifest: Manifest) -> tokenizer.Options:
    """The tokenizer's options that a bundle was trained with."""
    settings: dict[str, Any] = {key: value for key, value in manifest.features.items() if key != "name"}
    return tokenizer.Options(**settings)
