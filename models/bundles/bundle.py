"""A bundle: the folder that holds all that scoring needs. Loading one executes nothing from it."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.bundles import weights
from models.bundles.architecture import build, options, reads
from models.bundles.manifest import FILE, FORMAT, LARGEST_MANIFEST, compare, digest, read_manifest, write_manifest
from models.dataset import tfidf, vocabulary
from models.dataset.encoder import Documents, Encoder, Reads, Stored, at_once, pieces, tensors
from models.dataset.target_scaling import Scale
from models.storage import files

ENSEMBLE, MEMBERS = "ensemble", "members"


@dataclass(frozen=True)
class Bundle:
    """A model ready to score: C `labels` in the order of the scores (none of a target); `manifest`: model.json."""

    model: nn.Module
    encoder: Encoder
    labels: list[str]
    manifest: dict[str, Any]

    @property
    def reads(self) -> Reads:
        """What it needs of a document."""
        return self.encoder.reads

    @property
    def kind(self) -> str:
        """One of `manifest.KINDS`."""
        return str(self.manifest["task"]["kind"])

    def score(self, stored: Stored) -> NDArray[Any]:
        """Probabilities (B, C) of B documents, in float32; of a target its values (B, 1), in float64."""
        return self.outputs(self.encoder.encode(stored))

    def outputs(self, documents: Documents) -> NDArray[Any]:
        """`score` of encoded documents, each scored with others of about its length, some at a time."""
        kind = np.float64 if self.kind == "target" else np.float32
        result = np.empty((len(documents), outputs(self.manifest)), dtype=kind)
        lengths = documents.words.lengths if documents.words is not None else np.zeros(len(documents), np.int64)
        order = np.argsort(lengths, kind="stable")
        with torch.inference_mode():
            for some in pieces(lengths[order], at_once(self.reads)):
                rows = order[some]
                result[rows] = self._finished(self.model(tensors(documents.take(rows))))
        return result

    def _finished(self, logits: torch.Tensor) -> NDArray[Any]:
        if self.kind == "target":
            task = self.manifest["task"]
            return Scale(task["mean"], task["std"]).restored(logits.numpy())
        found: NDArray[np.float32] = (logits.sigmoid() if self.kind == "labels" else logits.softmax(1)).numpy()
        return found


@dataclass(frozen=True)
class Ensemble:
    """Bundles of one task and equal labels whose scores are averaged; it scores as a `Bundle` does."""

    members: list[Bundle]
    manifest: dict[str, Any]

    @property
    def labels(self) -> list[str]:
        """C labels, in the order of the scores."""
        return self.members[0].labels

    @property
    def kind(self) -> str:
        """One of `manifest.KINDS`."""
        return self.members[0].kind

    @property
    def reads(self) -> Reads:
        """What all of them need of a document."""
        every = [member.reads for member in self.members]
        images = [reads.image for reads in every if reads.image]
        return Reads(any(reads.bags for reads in every), max(reads.length for reads in every), next(iter(images), None))

    def score(self, stored: Stored) -> NDArray[Any]:
        """Probabilities (B, C) of B documents, in float32; of a target its values (B, 1), in float64."""
        scores = np.stack([member.score(stored) for member in self.members])
        mean: NDArray[Any] = scores.mean(0, dtype=scores.dtype)
        return mean


def publish(  # noqa: PLR0913
    folder: str,
    *,
    model: str,
    options: Mapping[str, Any],
    tfidf: tfidf.Options,
    labels: Sequence[str],
    task: Mapping[str, Any],
    documents: int,
    features: Mapping[str, Any],
    snapshot: Mapping[str, Any],
    train: Mapping[str, Any],
) -> dict[str, Any]:
    """Make the weights and vocabulary in `folder` a bundle by writing model.json last; returns its content.

    `task` says of which of `manifest.KINDS` the outputs are, and a target's `scale.Scale`. `documents` is the number
    behind the vocabulary's frequencies. The mappings hold plain JSON values.
    """
    manifest = {
        "format": FORMAT,
        "model": model,
        "options": dict(options),
        "tfidf": asdict(tfidf),
        "labels": list(labels),
        "task": dict(task),
        "documents": documents,
        "features": dict(features),
        "snapshot": dict(snapshot),
        "train": dict(train),
        "digests": {name: digest(files.read(f"{folder}/{name}")) for name in (vocabulary.FILE, weights.FILE)},
    }
    write_manifest(folder, manifest)
    return manifest


def unite(folder: str, members: Sequence[str], *, models: Collection[str]) -> dict[str, Any]:
    """Make `folder` an ensemble of copies of the bundles `members`; returns its model.json's content.

    Raises:
        ValueError: one of them cannot be used or is an ensemble itself, or they differ in labels or features.
    """
    found = [load(member, models=models) for member in members]
    for member, each in zip(members, found, strict=True):
        if isinstance(each, Ensemble):
            raise ValueError(f"{member} is an ensemble itself: name its members")
        for name in ("labels", "features"):
            if each.manifest[name] != found[0].manifest[name]:
                raise ValueError(f"{members[0]} and {member} differ in their {name}: they cannot be averaged")
        if each.kind != found[0].kind:
            raise ValueError(f"{members[0]} and {member} differ in their task: they cannot be averaged")
    places = [f"{MEMBERS}/{number}" for number in range(len(members))]
    for member, place in zip(members, places, strict=True):
        for name in (weights.FILE, vocabulary.FILE, FILE):
            files.write(f"{folder}/{place}/{name}", files.read(f"{member}/{name}"))
    digests = {f"{place}/{FILE}": digest(files.read(f"{folder}/{place}/{FILE}")) for place in places}
    united = {"model": ENSEMBLE, "options": {}, "tfidf": {}, "train": {}, "digests": digests}
    manifest = found[0].manifest | united
    write_manifest(folder, manifest)
    return manifest


def outputs(manifest: Mapping[str, Any]) -> int:
    """How many numbers a model gives for a document."""
    return 1 if manifest["task"]["kind"] == "target" else len(manifest["labels"])


def load(folder: str, *, models: Collection[str]) -> Bundle | Ensemble:
    """The bundle in `folder`, or the ensemble of some; each model must be one of `models`.

    Raises:
        ValueError: there is none, or it is torn, tampered with or foreign; nothing was allocated on its word.
    """
    try:
        found = read_manifest(folder, models=models)
        return _ensemble(folder, found, models) if found["model"] == ENSEMBLE else _single(folder, found)
    except ValueError as error:
        raise ValueError(f"{folder} is not a bundle that can be used: {error}") from None


def _ensemble(folder: str, manifest: dict[str, Any], models: Collection[str]) -> Ensemble:
    members = []
    for name in manifest["digests"]:
        if not re.fullmatch(rf"{MEMBERS}/[0-9]{{1,4}}/{FILE}", name):
            raise ValueError(f"{name!r} is none of an ensemble's files")
        compare(files.read(f"{folder}/{name}", most=LARGEST_MANIFEST), manifest, name)
        place = f"{folder}/{name.rpartition('/')[0]}"
        found = read_manifest(place, models=[model for model in models if model != ENSEMBLE])
        members.append(_single(place, found))
    if not members or any(member.labels != manifest["labels"] for member in members):
        raise ValueError("its members' labels are not its own")
    if any(member.kind != manifest["task"]["kind"] for member in members):
        raise ValueError("its members' tasks are not its own")
    return Ensemble(members, manifest)


def _single(folder: str, manifest: dict[str, Any]) -> Bundle:
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
    return Bundle(model.eval(), encoder, manifest["labels"], manifest)


def sketch(manifest: Mapping[str, Any], *, terms: int) -> nn.Module:
    """The model that `manifest` describes, with shapes but no memory behind them.

    Raises:
        ValueError: there can be no such model.
    """
    try:
        with torch.device("meta"):
            return build(manifest["model"], manifest["options"], terms=terms, classes=outputs(manifest))
    except (RuntimeError, TypeError, OverflowError):
        raise ValueError("its settings describe no possible model") from None
