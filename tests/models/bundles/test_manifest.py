"""model.json is read into a typed manifest and written back unchanged."""

import json
from pathlib import Path

import pytest

from models.bundles.manifest import FILE, TaskDescription, read_manifest, write_manifest

# As version 0.1.0 wrote them; key order, indentation and letters that are not ASCII included.
LABELS = """{
  "format": 2,
  "model": "mlp",
  "options": {
    "hidden": [
      16
    ]
  },
  "tfidf": {
    "min_df": 1
  },
  "labels": [
    "Länder",
    "sea"
  ],
  "task": {
    "kind": "label"
  },
  "documents": 40,
  "features": {
    "name": "words"
  },
  "snapshot": {
    "batch": 1,
    "published": null
  },
  "train": {
    "lr": 0.001
  },
  "digests": {
    "weights.safetensors": "00"
  }
}"""
TARGET = LABELS.replace('"kind": "label"', '"kind": "target",\n    "mean": 3.25,\n    "std": 0.5').replace(
    '[\n    "Länder",\n    "sea"\n  ]', "[]"
)


@pytest.mark.parametrize("content", [LABELS, TARGET], ids=["label", "target"])
def test_a_manifest_is_written_as_it_was_read(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    manifest = read_manifest(str(tmp_path), models=["mlp"])
    write_manifest(str(tmp_path / "copy"), manifest)
    assert (tmp_path / "copy" / FILE).read_text() == content
    assert manifest.to_dict() == json.loads(content)


def test_values_are_typed(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(TARGET)
    manifest = read_manifest(str(tmp_path), models=["mlp"])
    assert manifest.task == TaskDescription("target", 3.25, 0.5)
    assert (manifest.model, manifest.documents, manifest.labels, manifest.outputs) == ("mlp", 40, [], 1)
    (tmp_path / FILE).write_text(LABELS)
    assert read_manifest(str(tmp_path), models=["mlp"]).outputs == 2


def test_a_scale_is_written_only_for_a_target() -> None:
    assert TaskDescription("label", 1.0, 2.0).to_dict() == {"kind": "label"}
