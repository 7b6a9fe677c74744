"""Bundles averaged: a bundle of its own, of which nothing foreign is believed."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from models.bundles.bundle import ENSEMBLE, load, unite
from models.bundles.manifest import FILE
from tests.models.cases import LABELS, MODELS, change, corpus, make_bundle, stored_of


def members(tmp_path: Path) -> list[str]:
    """Two bundles of different models, one over words."""
    made = (("mlp", {"hidden": [8, 4], "dropout": 0.0}), ("attention", {"embedding": 8, "heads": 2}))
    return [str(make_bundle(tmp_path / name, name, options)) for name, options in made]


def test_an_ensemble_averages_its_members_and_needs_them_no_more(tmp_path: Path) -> None:
    paths, known = members(tmp_path), [*MODELS, ENSEMBLE]
    rows = stored_of(corpus(9))
    one, other = (load(path, models=known).score(rows) for path in paths)
    unite(str(tmp_path / "both"), paths, models=known)
    for path in paths:
        shutil.rmtree(path)
    united = load(str(tmp_path / "both"), models=known)
    np.testing.assert_allclose(united.score(rows), (one + other) / 2, rtol=1e-6)
    assert united.labels == LABELS
    assert (united.reads.bags, united.reads.length) == (True, 400)


def test_what_cannot_be_averaged_is_refused(tmp_path: Path) -> None:
    paths, known = members(tmp_path), [*MODELS, ENSEMBLE]
    change(Path(paths[1]), labels=[*LABELS[:2], "zoo"])
    with pytest.raises(ValueError, match="differ in their labels"):
        unite(str(tmp_path / "both"), paths, models=known)
    assert not (tmp_path / "both" / FILE).exists()
    unite(str(tmp_path / "both"), paths[:1] * 2, models=known)
    with pytest.raises(ValueError, match="is an ensemble itself"):
        unite(str(tmp_path / "more"), [paths[0], str(tmp_path / "both")], models=known)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../bundle/model.json", "none of an ensemble's files"),
        ("members/0/weights.safetensors", "none of an ensemble's"),
    ],
)
def test_an_ensemble_names_its_members_files_alone(tmp_path: Path, name: str, reason: str) -> None:
    paths, known = members(tmp_path), [*MODELS, ENSEMBLE]
    unite(str(tmp_path / "both"), paths, models=known)
    manifest = tmp_path / "both" / FILE
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"digests": {name: "0" * 64}}))
    with pytest.raises(ValueError, match="none of an ensemble's files"):
        load(str(tmp_path / "both"), models=known)


def test_an_ensemble_with_a_changed_member_is_refused(tmp_path: Path) -> None:
    paths, known = members(tmp_path), [*MODELS, ENSEMBLE]
    unite(str(tmp_path / "both"), paths, models=known)
    change(tmp_path / "both" / "members" / "1", documents=29)
    with pytest.raises(ValueError, match=r"members/1/model\.json is not the file"):
        load(str(tmp_path / "both"), models=known)
