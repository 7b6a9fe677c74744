"""An ensemble averages bundles, needs none of them afterwards, and accepts no foreign file."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from models.bundles.bundle import ENSEMBLE, create_ensemble, load
from models.bundles.manifest import FILE
from models.dataset.inputs import InputSpec
from tests.models.cases import LABELS, MODELS, corpus, forge_manifest, make_bundle, stored_of


def members(tmp_path: Path) -> list[str]:
    """Two bundles of different models, one of which reads words."""
    made = (("mlp", {"hidden": [8, 4], "dropout": 0.0}), ("attention", {"embedding": 8, "heads": 2}))
    return [str(make_bundle(tmp_path / name, name, options)) for name, options in made]


def test_an_ensemble_averages_its_members_and_outlives_them(tmp_path: Path) -> None:
    paths, known = members(tmp_path), [*MODELS, ENSEMBLE]
    rows = stored_of(corpus(9))
    one, other = (load(path, models=known).score(rows) for path in paths)
    create_ensemble(str(tmp_path / "both"), paths, models=known)
    for path in paths:
        shutil.rmtree(path)
    ensemble = load(str(tmp_path / "both"), models=known)
    np.testing.assert_allclose(ensemble.score(rows), (one + other) / 2, rtol=1e-6)
    assert ensemble.labels == LABELS
    assert ensemble.input_spec == InputSpec(bags=True, length=400)


def test_bundles_that_cannot_be_averaged_are_refused(tmp_path: Path) -> None:
    paths, known = members(tmp_path), [*MODELS, ENSEMBLE]
    forge_manifest(Path(paths[1]), labels=[*LABELS[:2], "zoo"])
    with pytest.raises(ValueError, match="differ in their labels"):
        create_ensemble(str(tmp_path / "both"), paths, models=known)
    assert not (tmp_path / "both" / FILE).exists()
    create_ensemble(str(tmp_path / "both"), paths[:1] * 2, models=known)
    with pytest.raises(ValueError, match="is an ensemble itself"):
        create_ensemble(str(tmp_path / "more"), [paths[0], str(tmp_path / "both")], models=known)


@pytest.mark.parametrize("name", ["../bundle/model.json", "members/0/weights.safetensors"])
def test_an_ensemble_that_names_foreign_files_is_refused(tmp_path: Path, name: str) -> None:
    paths, known = members(tmp_path), [*MODELS, ENSEMBLE]
    create_ensemble(str(tmp_path / "both"), paths, models=known)
    manifest = tmp_path / "both" / FILE
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"digests": {name: "0" * 64}}))
    with pytest.raises(ValueError, match="not one of an ensemble's files"):
        load(str(tmp_path / "both"), models=known)


def test_an_ensemble_with_a_changed_member_is_refused(tmp_path: Path) -> None:
    paths, known = members(tmp_path), [*MODELS, ENSEMBLE]
    create_ensemble(str(tmp_path / "both"), paths, models=known)
    forge_manifest(tmp_path / "both" / "members" / "1", documents=29)
    with pytest.raises(ValueError, match=r"members/1/model\.json is not the file"):
        load(str(tmp_path / "both"), models=known)
