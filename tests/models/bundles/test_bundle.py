"""A hostile or damaged bundle is refused; nothing in it is executed, and no size that it only claims is allocated."""

import json
import pickle
import resource
import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch

from models.bundles import architecture, weights
from models.bundles.bundle import load
from models.bundles.manifest import FILE, MAX_BYTES
from models.dataset import vocabulary
from tests.models.cases import IDS, LABELS, MODELS, TERMS, corpus, forge_manifest, make_bundle, stored_of

OPTIONS = {"hidden": [8, 4], "dropout": 0.0}
SHAPES = {
    "bias": [8],
    "layers.2.bias": [4],
    "layers.2.weight": [4, 8],
    "layers.5.bias": [3],
    "layers.5.weight": [3, 4],
    "table.weight": [TERMS, 8],
}
MARGIN = 2 << 30  # more than loading a small bundle takes, far less than the hostile ones claim


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle"), "mlp", OPTIONS)


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    """A bundle of the test's own."""
    copied = tmp_path / "bundle"
    shutil.copytree(good, copied)
    return copied


@contextmanager
def little_memory() -> Iterator[None]:
    """No memory for what a hostile bundle claims to hold."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MARGIN, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def assert_refused(folder: Path, reason: str) -> None:
    """Loading raises a ValueError that names the bundle and the reason."""
    with (
        little_memory(),
        pytest.raises(ValueError, match=f"(?s)is not a usable bundle: .*{reason}") as caught,
    ):
        load(str(folder), models=MODELS)
    assert str(folder) in str(caught.value)


def header(path: Path) -> tuple[dict[str, Any], bytes]:
    """Header and tensors' bytes of a weights file."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def write_header(path: Path, content: Any, rest: bytes) -> None:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + rest)


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.marker,)


def test_the_bundle_can_be_loaded_as_it_is(good: Path) -> None:
    with little_memory():
        loaded = load(str(good), models=MODELS)
    assert {name: list(tensor.shape) for name, tensor in loaded.model.state_dict().items()} == SHAPES
    assert loaded.labels == LABELS
    assert loaded.score(stored_of(corpus(5))).shape == (5, 3)
    assert header(good / weights.FILE)[0].keys() == SHAPES.keys()


@pytest.mark.parametrize("name", [FILE, weights.FILE, vocabulary.FILE])
def test_a_missing_file_is_reported(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert_refused(folder, f"there is no file .*{name}")
    (folder / name).mkdir()
    assert_refused(folder, f"{name} is not a file")


@pytest.mark.parametrize("sealed", [False, True], ids=["torn", "resealed"])
@pytest.mark.parametrize("length", [0, 7, 8, 60, -1])
@pytest.mark.parametrize("name", [weights.FILE, vocabulary.FILE])
def test_a_truncated_file_is_refused(folder: Path, name: str, length: int, sealed: bool) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:length])
    if sealed:
        forge_manifest(folder)
    assert_refused(folder, name)


def test_longer_weights_are_refused(folder: Path) -> None:
    with (folder / weights.FILE).open("ab") as file:
        file.write(b"\0")
    forge_manifest(folder)
    assert_refused(folder, "truncated or padded")


@pytest.mark.parametrize("name", [weights.FILE, vocabulary.FILE])
def test_a_flipped_bit_is_noticed_at_any_position(folder: Path, name: str) -> None:
    path = folder / name
    content = path.read_bytes()
    for position in [0, 9, len(content) // 3, len(content) // 2, len(content) - 20, len(content) - 1]:
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        assert_refused(folder, name)
    path.write_bytes(content)
    load(str(folder), models=MODELS)


@pytest.mark.parametrize(
    "options",
    [{"hidden": [9, 4]}, {"hidden": [8]}, {"hidden": [8, 4, 4]}, {"hidden": [2**40, 4]}, {"hidden": [8, 2**40]}],
)
def test_weights_of_other_shapes_than_the_models_are_refused(folder: Path, options: dict[str, Any]) -> None:
    forge_manifest(folder, options=options)
    assert_refused(folder, weights.FILE)


def test_weights_of_other_classes_or_terms_are_refused(folder: Path) -> None:
    forge_manifest(folder, labels=["air", "land"])
    assert_refused(folder, "tensor layers.5")
    forge_manifest(folder, labels=LABELS)
    table = pq.read_table(folder / vocabulary.FILE)
    pq.write_table(table.slice(0, TERMS - 1), folder / vocabulary.FILE)
    forge_manifest(folder)
    assert_refused(folder, "tensor table.weight")


@pytest.mark.parametrize(
    "wrong", ["dtype", "shape", "missing", "more", "metadata", "overlap", "outside", "huge", "text"]
)
def test_a_lying_header_is_refused(folder: Path, wrong: str) -> None:
    path = folder / weights.FILE
    content, rest = header(path)
    assert content["bias"]["shape"] == [8]
    changes: dict[str, Callable[[], Any]] = {
        "dtype": lambda: content["bias"].update(dtype="I32"),
        "shape": lambda: content["table.weight"].update(shape=[8, TERMS]),
        "missing": lambda: content.pop("bias"),
        "more": lambda: content.update({"extra": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}),
        "metadata": lambda: content.update({"__metadata__": {"format": "pt"}}),
        "overlap": lambda: content["layers.2.bias"].update(data_offsets=content["layers.5.bias"]["data_offsets"]),
        "outside": lambda: content["bias"].update(data_offsets=[2**50, 2**50 + 32]),
        "huge": lambda: content["table.weight"].update(shape=[2**40, 8], data_offsets=[0, 2**45]),
        "text": lambda: content.update({"bias": "F32"}),
    }
    changes[wrong]()
    write_header(path, content, rest)
    forge_manifest(folder)
    assert_refused(folder, weights.FILE)


@pytest.mark.parametrize("content", [b"[1]", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 5000], ids=len)
def test_a_header_that_is_not_a_json_object_is_refused(folder: Path, content: bytes) -> None:
    write_header(folder / weights.FILE, content, b"\0" * 100)
    forge_manifest(folder)
    assert_refused(folder, "not a safetensors file")


@pytest.mark.parametrize("length", [0, 1, 2**20 + 1, 2**40, 2**63, 2**64 - 1])
def test_a_huge_header_is_never_read(folder: Path, length: int) -> None:
    path = folder / weights.FILE
    with path.open("wb") as file:
        file.write(struct.pack("<Q", length) + b"{}")
        file.truncate(2**42)  # sparse: it takes no disk
    assert_refused(folder, "impossible length of its header")


def test_a_huge_weights_file_is_never_read(folder: Path) -> None:
    with (folder / weights.FILE).open("ab") as file:
        file.truncate(2**42)
    assert_refused(folder, "truncated or padded")


@pytest.mark.parametrize("name", [weights.FILE, vocabulary.FILE, FILE])
@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_pickle_is_never_opened(folder: Path, tmp_path: Path, kind: str, name: str) -> None:
    marker = tmp_path / "executed"
    if kind == "pickle":
        (folder / name).write_bytes(pickle.dumps(Bomb(marker)))
    else:
        torch.save({"bias": Bomb(marker)}, folder / name)
    if name != FILE:
        forge_manifest(folder)
    assert_refused(folder, name)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Bomb(marker)))  # noqa: S301  (the bomb is one)
    assert marker.exists()


@pytest.mark.parametrize(
    "name", ["absent", "MLP", "", "../mlp", "/models/mlp", "models.mlp", "training.loop", "mlp.py", "os", "..", "mlp\0"]
)
def test_only_known_models_are_imported(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    imported: list[str] = []
    monkeypatch.setattr(architecture, "import_module", imported.append)
    forge_manifest(folder, model=name)
    assert_refused(folder, "its model is")
    assert not imported


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": 3}, "its format is 3"),
        ({"format": True}, "each with a value of its type"),
        ({"model": ["mlp"]}, "each with a value of its type"),
        ({"more": 1}, "each with a value of its type"),
        ({"labels": []}, "labels"),
        ({"labels": ["sea", "land", "air"]}, "labels"),
        ({"labels": ["air", "air", "sea"]}, "labels"),
        ({"labels": [1, 2, 3]}, "labels"),
        ({"labels": [["air"]]}, "labels"),
        ({"options": {"width": 3}}, "model.width is unknown"),
        ({"options": {"hidden": "8"}}, "model.hidden"),
        ({"options": {"hidden": [8, 2**70]}}, "no possible model"),
        ({"options": {"hidden": [2**62, 2**62]}}, "no possible model|weights.safetensors"),
        ({"options": {"hidden": [8, -4]}}, "model.hidden"),
        ({"options": {"__class__": "x"}}, "unknown"),
        ({"tfidf": {"norm": "l1"}}, "tfidf.norm"),
        ({"tfidf": {"smooth": 1}}, "tfidf.smooth"),
        ({"tfidf": {"max_df": float("nan")}}, "tfidf.max_df"),
        ({"documents": 0}, "number of documents is impossible"),
        ({"documents": -(2**70)}, "number of documents is impossible"),
        ({"documents": 1.5}, "each with a value of its type"),
        ({"task": {}}, "its task is None, which is not one of label, labels, target"),
        ({"task": {"kind": "target", "mean": 0.0, "std": 1.0}}, "labels are not"),
        ({"task": {"kind": "target", "mean": 0.0}, "labels": []}, "its target has no scale"),
        ({"task": {"kind": "target", "mean": 0.0, "std": float("inf")}, "labels": []}, "its target has no scale"),
        ({"digests": {}}, "its digest differs"),
        ({"digests": {vocabulary.FILE: None, weights.FILE: None}}, "its digest differs"),
    ],
    ids=str,
)
def test_a_wrong_manifest_is_refused(folder: Path, changes: dict[str, Any], reason: str) -> None:
    forge_manifest(folder, **changes)
    assert_refused(folder, reason)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b"\xff", b"{" * 10, b"[" * 100_000], ids=len)
def test_a_manifest_that_is_not_a_json_object_is_refused(folder: Path, content: bytes) -> None:
    (folder / FILE).write_bytes(content)
    assert_refused(folder, FILE)


def test_a_huge_manifest_is_never_read(folder: Path) -> None:
    with (folder / FILE).open("ab") as file:
        file.truncate(2**42)
    assert_refused(folder, f"more than the {MAX_BYTES} allowed")


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"id": pa.array(IDS, pa.int64())}, "cannot be read"),
        ({"id": pa.array(range(TERMS), pa.int32()), "df": pa.array([1] * TERMS)}, "64-bit"),
        ({"id": pa.array(map(str, IDS)), "df": pa.array([1] * TERMS)}, "64-bit"),
        ({"id": pa.array([*IDS[1:], None]), "df": pa.array([1] * TERMS)}, "nulls"),
        ({"id": pa.array([*IDS[1:], IDS[1]]), "df": pa.array([1] * TERMS)}, "one id twice"),
        ({"id": pa.array(IDS), "df": pa.array([31] * TERMS)}, "document frequency"),
        ({"id": pa.array(IDS), "df": pa.array([0] * TERMS)}, "document frequency"),
    ],
)
def test_an_impossible_vocabulary_is_refused(folder: Path, columns: dict[str, Any], reason: str) -> None:
    pq.write_table(pa.table(columns), folder / vocabulary.FILE)
    forge_manifest(folder)
    assert_refused(folder, reason)


def test_an_empty_vocabulary_is_refused(folder: Path) -> None:
    pq.write_table(pq.read_table(folder / vocabulary.FILE).slice(0, 0), folder / vocabulary.FILE)
    tensors = safetensors.torch.load_file(folder / weights.FILE) | {"table.weight": torch.zeros(0, 8)}
    safetensors.torch.save_file(tensors, folder / weights.FILE)
    forge_manifest(folder)
    assert_refused(folder, "vocabulary")
