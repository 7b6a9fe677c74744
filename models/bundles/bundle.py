"""A bundle: the folder with everything that scoring needs. Loading one executes nothing from it."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.bundles import architecture, weights
from models.bundles.manifest import FILE, MAX_BYTES, Manifest, digest, read_manifest, write_manifest
from models.dataset import tfidf, vocabulary
from models.dataset.encoder import (
    EncodedDocuments,
    Encoder,
    StoredDocuments,
    max_documents,
    scoring_slices,
    to_inputs,
)
from models.dataset.inputs import InputSpec
from models.dataset.target_scaling import TargetScale
from models.storage import files

ENSEMBLE, MEMBERS = "ensemble", "members"


@dataclass(frozen=True)
class Bundle:
    """A model ready to score documents."""

    model: nn.Module
    encoder: Encoder
    manifest: Manifest

    @property
    def labels(self) -> list[str]:
        """The C labels in the order of the scores; none if the model predicts a target."""
        return self.manifest.labels

    @property
    def kind(self) -> str:
        """What the scores mean, one of `manifest.KINDS`."""
        return self.manifest.task.kind

    @property
    def input_spec(self) -> InputSpec:
        """What the model reads of a document."""
        return self.encoder.spec

    def score(self, stored: StoredDocuments) -> NDArray[Any]:
        """Probabilities (B, C) of B documents in float32, or the predicted targets (B, 1) in float64."""
        return self.score_encoded(self.encoder.encode(stored))

    def score_encoded(self, documents: EncodedDocuments) -> NDArray[Any]:
        """`score` for encoded documents. Documents of similar lengths go through the model together, some at a time."""
        dtype = np.float64 if self.kind == "target" else np.float32
        scores = np.empty((len(documents), self.manifest.outputs), dtype=dtype)
        lengths = documents.words.lengths if documents.words is not None else np.zeros(len(documents), np.int64)
        order = np.argsort(lengths, kind="stable")
        with torch.inference_mode():
            for chosen in scoring_slices(lengths[order], max_documents(self.input_spec)):
                rows = order[chosen]
                scores[rows] = self._to_scores(self.model(to_inputs(documents.take(rows))))
        return scores

    def _to_scores(self, logits: torch.Tensor) -> NDArray[Any]:
        task = self.manifest.task
        if task.kind == "target":
            assert task.mean is not None
            assert task.std is not None
            return TargetScale(task.mean, task.std).restore(logits.numpy())
        probabilities = logits.sigmoid() if task.kind == "labels" else logits.softmax(1)
        scores: NDArray[np.float32] = probabilities.numpy()
        return scores


@dataclass(frozen=True)
class Ensemble:
    """Bundles with one task and equal labels, whose scores are averaged. It scores documents as a `Bundle` does."""

    members: list[Bundle]
    manifest: Manifest

    @property
    def labels(self) -> list[str]:
        """The C labels in the order of the scores; none if the models predict a target."""
        return self.members[0].labels

    @property
    def kind(self) -> str:
        """What the scores mean, one of `manifest.KINDS`."""
        return self.members[0].kind

    @property
    def input_spec(self) -> InputSpec:
        """What the members together read of a document."""
        specs = [member.input_spec for member in self.members]
        images = [spec.image for spec in specs if spec.image]
        return InputSpec(
            bags=any(spec.bags for spec in specs),
            length=max(spec.length for spec in specs),
            image=images[0] if images else None,
        )

    def score(self, stored: StoredDocuments) -> NDArray[Any]:
        """The mean of the members' scores: (B, C) in float32, or of a target (B, 1) in float64."""
        scores = np.stack([member.score(stored) for member in self.members])
        mean: NDArray[Any] = scores.mean(0, dtype=scores.dtype)
        return mean


def publish(folder: str, manifest: Manifest) -> Manifest:
    """Make the weights and the vocabulary in `folder` a bundle by writing model.json last.

    Returns:
        The manifest with the digests of both files.
    """
    digests = {name: digest(files.read(f"{folder}/{name}")) for name in (vocabulary.FILE, weights.FILE)}
    sealed = replace(manifest, digests={**digests})
    write_manifest(folder, sealed)
    return sealed


def create_ensemble(folder: str, members: Sequence[str], *, models: Collection[str]) -> Manifest:
    """Make `folder` an ensemble of copies of the bundles `members`, whose models must be among `models`.

    Returns:
        The ensemble's manifest.

    Raises:
        ValueError: A member cannot be loaded or is an ensemble itself, or the members differ in labels, features or
            task.
    """
    bundles = [load(member, models=models) for member in members]
    first = bundles[0].manifest
    for member, bundle in zip(members, bundles, strict=True):
        if isinstance(bundle, Ensemble):
            raise ValueError(f"{member} is an ensemble itself: name its members")
        for name in ("labels", "features"):
            if getattr(bundle.manifest, name) != getattr(first, name):
                raise ValueError(f"{members[0]} and {member} differ in their {name}: they cannot be averaged")
        if bundle.kind != bundles[0].kind:
            raise ValueError(f"{members[0]} and {member} differ in their task: they cannot be averaged")
    names = [f"{MEMBERS}/{number}" for number in range(len(members))]
    for member, name in zip(members, names, strict=True):
        for file in (weights.FILE, vocabulary.FILE, FILE):
            files.write(f"{folder}/{name}/{file}", files.read(f"{member}/{file}"))
    digests = {f"{name}/{FILE}": digest(files.read(f"{folder}/{name}/{FILE}")) for name in names}
    manifest = replace(first, model=ENSEMBLE, options={}, tfidf={}, train={}, digests={**digests})
    write_manifest(folder, manifest)
    return manifest


def load(folder: str, *, models: Collection[str]) -> Bundle | Ensemble:
    """The bundle or ensemble in `folder`; each model must be one of `models`.

    Raises:
        ValueError: There is no bundle, or it is damaged, was changed, or is of an unknown kind. No memory is allocated
            for sizes that a damaged bundle claims.
    """
    try:
        manifest = read_manifest(folder, models=models)
        if manifest.model == ENSEMBLE:
            return _load_ensemble(folder, manifest, models)
        return _load_bundle(folder, manifest)
    except ValueError as error:
        raise ValueError(f"{folder} is not a usable bundle: {error}") from None


def _load_ensemble(folder: str, manifest: Manifest, models: Collection[str]) -> Ensemble:
    members = []
    for name in manifest.digests:
        if not re.fullmatch(rf"{MEMBERS}/[0-9]{{1,4}}/{FILE}", name):
            raise ValueError(f"{name!r} is not one of an ensemble's files")
        manifest.check_digest(name, files.read(f"{folder}/{name}", max_bytes=MAX_BYTES))
        member = f"{folder}/{name.rpartition('/')[0]}"
        single = read_manifest(member, models=[model for model in models if model != ENSEMBLE])
        members.append(_load_bundle(member, single))
    if not members or any(member.labels != manifest.labels for member in members):
        raise ValueError("its members' labels differ from its own")
    if any(member.kind != manifest.task.kind for member in members):
        raise ValueError("its members' tasks differ from its own")
    return Ensemble(members, manifest)


def _load_bundle(folder: str, manifest: Manifest) -> Bundle:
    settings = architecture.parse_options(tfidf.Options, manifest.tfidf, section="tfidf")
    terms = files.read(f"{folder}/{vocabulary.FILE}")
    manifest.check_digest(vocabulary.FILE, terms)
    table = vocabulary.open_parquet(terms)
    model = architecture.build_without_memory(
        manifest.model, manifest.options, terms=table.metadata.num_rows, classes=manifest.outputs
    )
    weights.check_header(folder, model)
    transformer = vocabulary.read_transformer(table, documents=manifest.documents, options=settings)
    encoder = Encoder(transformer, architecture.input_spec(manifest.model, manifest.options))
    content = files.read(f"{folder}/{weights.FILE}")
    manifest.check_digest(weights.FILE, content)
    weights.load(content, model)
    return Bundle(model.eval(), encoder, manifest)
