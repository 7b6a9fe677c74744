"""A bundle: the folder that holds all that scoring needs. Loading one executes nothing from it."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.training import files, tfidf, vocabulary, weights
from models.training.architecture import build, options, reads
from models.training.encoding import Documents, Encoder, Stored, pieces, tensors

FILE = "model.json"
FORMAT = 1
LARGEST_MANIFEST = 2**24
KEYS = {
    "format": int,
    "model": str,
    "options": dict,
    "tfidf": dict,
    "labels": list,
    "documents": int,
    "features": dict,
    "snapshot": dict,
    "train": dict,
    "digests": dict,
}


@dataclass(frozen=True)
class Bundle:
    """A model ready to score: C `labels` in the order of the scores, and the `manifest`, model.json's content."""

    model: nn.Module
    encoder: Encoder
    labels: list[str]
    manifest: dict[str, Any]

    def score(self, stored: Stored) -> NDArray[np.float32]:
        """Probabilities (B, C) of B documents."""
        return self.probabilities(self.encoder.encode(stored))

    def probabilities(self, documents: Documents) -> NDArray[np.float32]:
        """Probabilities (B, C) of B documents, scored with others of about their length, some at a time."""
        result = np.empty((len(documents), len(self.labels)), dtype=np.float32)
        lengths = documents.words.lengths if documents.words is not None else np.zeros(len(documents), np.int64)
        order = np.argsort(lengths, kind="stable")
        with torch.inference_mode():
            for some in pieces(lengths[order]):
                rows = order[some]
                logits_BC = self.model(tensors(documents.take(rows)))  # noqa: N806
                result[rows] = logits_BC.softmax(1).numpy()
        return result


def publish(  # noqa: PLR0913
    folder: str,
    *,
    model: str,
    options: Mapping[str, Any],
    tfidf: tfidf.Options,
    labels: Sequence[str],
    documents: int,
    features: Mapping[str, Any],
    snapshot: Mapping[str, Any],
    train: Mapping[str, Any],
) -> dict[str, Any]:
    """Make the weights and vocabulary in `folder` a bundle by writing model.json last; returns its content.

    `documents` is the number behind the vocabulary's frequencies. The mappings hold plain JSON values.
    """
    manifest = {
        "format": FORMAT,
        "model": model,
        "options": dict(options),
        "tfidf": asdict(tfidf),
        "labels": list(labels),
        "documents": documents,
        "features": dict(features),
        "snapshot": dict(snapshot),
        "train": dict(train),
        "digests": {name: digest(files.read(f"{folder}/{name}")) for name in (vocabulary.FILE, weights.FILE)},
    }
    files.write(f"{folder}/{FILE}", json.dumps(manifest, ensure_ascii=False, indent=2).encode())
    return manifest


def load(folder: str, *, models: Collection[str]) -> Bundle:
    """The bundle in `folder`, whose model must be one of `models`.

    Raises:
        ValueError: there is none, or it is torn, tampered with or foreign; nothing was allocated on its word.
    """
    try:
        manifest = read_manifest(folder, models=models)
        settings = options(tfidf.Options, manifest["tfidf"], name="tfidf")
        terms = files.read(f"{folder}/{vocabulary.FILE}")
        compare(terms, manifest, vocabulary.FILE)
        table = vocabulary.opened(terms)
        model = sketch(manifest, terms=table.metadata.num_rows)
        weights.check(folder, model)
        weigher = vocabulary.weigher(table, documents=manifest["documents"], options=settings)
        encoder = Encoder(weigher, reads(manifest["model"], manifest["options"]))
        content = files.read(f"{folder}/{weights.FILE}")
        compare(content, manifest, weights.FILE)
        weights.load(content, model)
    except ValueError as error:
        raise ValueError(f"{folder} is not a bundle that can be used: {error}") from None
    return Bundle(model.eval(), encoder, manifest["labels"], manifest)


def read_manifest(folder: str, *, models: Collection[str]) -> dict[str, Any]:
    """The content of model.json, each key there and of its type.

    Raises:
        ValueError: not so.
    """
    try:
        manifest = json.loads(files.read(f"{folder}/{FILE}", most=LARGEST_MANIFEST))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError(f"{FILE} is not JSON") from None
    if not isinstance(manifest, dict) or {key: type(value) for key, value in manifest.items()} != KEYS:
        raise ValueError(f"{FILE} does not hold the keys {', '.join(KEYS)}, each of its type")
    if manifest["format"] != FORMAT:
        raise ValueError(f"its format is {manifest['format']}, this version reads {FORMAT}")
    if manifest["model"] not in models:
        raise ValueError(f"its model is {manifest['model']!r}, none of {', '.join(sorted(models))}")
    if not 0 < manifest["documents"] < 2**63:
        raise ValueError("its number of documents is impossible")
    labels = manifest["labels"]
    if not labels or not all(type(label) is str for label in labels) or labels != sorted(set(labels)):
        raise ValueError("its labels are not distinct strings in sorted order")
    return manifest


def sketch(manifest: Mapping[str, Any], *, terms: int) -> nn.Module:
    """The model that `manifest` describes, with shapes but no memory behind them.

    Raises:
        ValueError: there can be no such model.
    """
    try:
        with torch.device("meta"):
            return build(manifest["model"], manifest["options"], terms=terms, classes=len(manifest["labels"]))
    except (RuntimeError, TypeError, OverflowError):
        raise ValueError("its settings describe no possible model") from None


def compare(content: bytes, manifest: Mapping[str, Any], name: str) -> None:
    """Check the digest of one file.

    Raises:
        ValueError: `content` is not what was published.
    """
    if digest(content) != manifest["digests"].get(name):
        raise ValueError(f"{name} is not the file that {FILE} was written for: another digest")


def digest(content: bytes) -> str:
    """SHA-256 as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()
