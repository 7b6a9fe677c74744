"""Small feature files, vocabularies, tasks and bundles, made without Spark."""

import dataclasses
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image

from models.bundles import architecture, bundle, weights
from models.bundles.manifest import FILE, Manifest, TaskDescription, digest
from models.dataset import vocabulary
from models.dataset.encoder import StoredDocuments
from models.dataset.index import Index
from models.dataset.ragged import Ragged
from models.dataset.tfidf import Options as TfidfOptions
from models.ranks.process_group import ProcessGroup
from models.ranks.rank_status import RankStatus
from models.training.run_context import RunContext, prepare
from models.training.task import Options, Task

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted(path.stem for path in (ROOT / "conf" / "model").glob("*.yaml"))
LABELS = ["air", "land", "sea"]
TERMS = 40
# Ids as a hash gives them: of either sign, and in another order than the terms.
IDS = np.random.default_rng(5).integers(-(2**63), 2**63, TERMS, dtype=np.int64).tolist()
FEATURES = pa.schema(
    {
        "batch": pa.int64(),
        "key": pa.int64(),
        "id": pa.string(),
        "split": pa.string(),
        "labels": pa.list_(pa.string()),
        "target": pa.float64(),
        "terms": pa.list_(pa.int64()),
        "counts": pa.list_(pa.int32()),
        "sequence": pa.list_(pa.int32()),
        "content": pa.binary(),
    }
)


def row(
    key: int, terms: dict[int, int], labels: Sequence[str] = ("air",), *, split: str = "train", batch: int = 1
) -> dict[str, Any]:
    """One row of a feature file: a document with these terms and their counts."""
    return {
        "batch": batch,
        "key": key,
        "id": f"#{key}",
        "split": split,
        "labels": list(labels),
        "terms": list(terms),
        "counts": list(terms.values()),
        "sequence": list(range(len(terms))),
        "content": image(key % 1000),
    }


def corpus(count: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """Distinct documents of three classes, each with terms of its class, of all classes, and unknown ones; an image."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        kind = number % len(LABELS)
        own = random.integers(kind * 10, kind * 10 + 10, 4).tolist()
        common = random.integers(30, TERMS, 3).tolist()
        terms = {IDS[position]: int(random.integers(1, 5)) for position in own + common} | {number: 1}
        key = int(random.integers(-(2**63), 2**63, dtype=np.int64))
        sequence = random.permutation(np.repeat(np.arange(len(terms)), list(terms.values()))).tolist()
        rows.append(row(key, terms, LABELS[kind : kind + 1]) | {"sequence": sequence})
    return rows


def image(number: int) -> bytes:
    """A PNG file of 8 x 8 random pixels."""
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8), dtype=np.uint8)).save(content, "PNG")
    return content.getvalue()


def write_features(path: Path, rows: Sequence[dict[str, Any]], *, row_group: int = 1000) -> str:
    """A feature file as featurize writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows), FEATURES), path, row_group_size=row_group)
    return str(path)


def write_vocabulary(folder: Path, rows: Iterable[dict[str, Any]]) -> None:
    """A bundle's vocabulary: all of `IDS`, with their document frequencies in `rows`."""
    df = Counter(term for document in rows for term in document["terms"])
    names = [f"t{number:02}" for number in range(TERMS)]
    table = pa.table({"term": names, "id": IDS, "df": [max(1, df[term]) for term in IDS]})
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / vocabulary.FILE)


def make_task(
    folder: Path, rows: Sequence[dict[str, Any]], *, files: int = 1, train: dict[str, Any] | None = None, **more: Any
) -> Task:
    """A task on `rows`, written to so many feature files; `train` are its `train.*` settings."""
    paths = [write_features(folder / "features" / f"{part}.parquet", rows[part::files]) for part in range(files)]
    write_vocabulary(folder / "run", rows)
    settings: dict[str, Any] = {
        "labels": LABELS,
        "model": "mlp",
        "options": {"hidden": [16], "dropout": 0.0},
        "validation_share": 0.2,
    }
    return Task(
        files=paths,
        batch=1,
        documents=len(rows),
        folder=str(folder / "run"),
        train=Options(**{"threads": 1, "epochs": 4, "batch": 8, "lr": 0.01} | (train or {})),
        progress=False,
        **settings | more,
    )


def make_index(keys: Any, labels: Any, published: Any = None) -> Index:
    """An index of documents that are stored nowhere."""
    count = len(keys)
    return Index(
        key=np.asarray(keys, dtype=np.int64),
        label=np.asarray(labels, dtype=np.int64),
        multi_hot=np.zeros((count, 0), dtype=np.bool_),
        target=np.zeros(count, dtype=np.float64),
        published=np.zeros(count, dtype=np.bool_) if published is None else np.asarray(published),
        length=np.zeros(count, dtype=np.int32),
        file=np.zeros(count, dtype=np.int32),
        row=np.arange(count, dtype=np.int32),
    )


def make_context(task: Task) -> RunContext:
    """What a single rank prepares for a task."""
    return prepare(task, ProcessGroup(0, 1), RankStatus())


def make_bundle(folder: Path, model: str, options: dict[str, Any]) -> Path:
    """A bundle with random weights, those of the padding included."""
    rows = corpus(30)
    write_vocabulary(folder, rows)
    torch.manual_seed(3)
    built = architecture.build(model, options, terms=TERMS, classes=len(LABELS))
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.normal_(std=parameter.shape[-1] ** -0.5)  # so that outputs neither vanish nor saturate
    weights.save(str(folder), built)
    publish(folder, model=model, options=options, documents=len(rows))
    return folder


def publish(folder: Path, *, model: str, options: dict[str, Any], documents: int) -> Manifest:
    """Write the model.json that fits the folder's other files."""
    manifest = Manifest(
        model=model,
        options=options,
        tfidf=dataclasses.asdict(TfidfOptions()),
        labels=LABELS,
        task=TaskDescription("label"),
        documents=documents,
        features={"name": "words"},
        snapshot={"batch": 1},
        train={},
    )
    return bundle.publish(str(folder), manifest)


def forge_manifest(folder: Path, **values: Any) -> None:
    """Change model.json as an attacker would, with digests that fit the other files again."""
    path = folder / FILE
    content = json.loads(path.read_text())
    digests = {name: digest((folder / name).read_bytes()) for name in (vocabulary.FILE, weights.FILE)}
    path.write_text(json.dumps(content | {"digests": digests} | values))


def stored_of(rows: Iterable[dict[str, Any]]) -> StoredDocuments:
    """The documents `rows`, as `Bundle.score` takes them."""
    rows = list(rows)
    terms = ragged([document["terms"] for document in rows], [document["counts"] for document in rows])
    sequence = ragged([document["sequence"] for document in rows])
    images = pa.array([document.get("content", image(0)) for document in rows], pa.binary())
    return StoredDocuments(terms, sequence, images)


def ragged(*columns: Sequence[Sequence[Any]], kind: Any = np.int64) -> Ragged:
    """Rows that have the same lengths in each of the `columns`."""
    offsets = np.cumsum([0] + [len(row) for row in columns[0]])
    return Ragged(tuple(np.array([v for row in column for v in row], dtype=kind) for column in columns), offsets)
