"""The loop and the models: they learn, the same each time, and a document's scores are its own."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from models.bundles import architecture, bundle, weights
from models.dataset import vocabulary
from models.dataset.encoder import MOST_DOCUMENTS as AT_ONCE
from models.dataset.encoder import Documents, tensors
from models.dataset.inputs import FIRST
from models.dataset.ragged import Ragged, Stack
from models.ranks import exit_records
from models.training.evaluation import evaluate
from models.training.loop import fit
from models.training.task import Task
from pipelines import config
from tests.models.cases import (
    IDS,
    LABELS,
    MODELS,
    ROOT,
    TERMS,
    corpus,
    make_bundle,
    make_task,
    ragged,
    seal,
    stored_of,
    work_of,
)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process, whatever started the tests."""
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


def digest(task: Task) -> str:
    """Train; the digest of the weights."""
    exit_records.clear(task.folder)
    fit(task)
    (done,) = exit_records.found(task.folder, "done")
    return str(done["weights"])


@pytest.mark.parametrize("options", [{"hidden": [16], "dropout": 0.5}, {"hidden": [8, 8], "dropout": 0.0}], ids=str)
def test_the_same_seed_gives_bit_equal_weights_in_any_file_layout(tmp_path: Path, options: dict[str, Any]) -> None:
    rows = corpus(40)
    task = make_task(tmp_path / "one", rows, options=options)
    first = digest(task)
    content = (tmp_path / "one" / "run" / weights.FILE).read_bytes()
    assert digest(task) == first
    assert (tmp_path / "one" / "run" / weights.FILE).read_bytes() == content
    assert digest(make_task(tmp_path / "many", rows[::-1], files=3, options=options)) == first
    assert digest(dataclasses.replace(task, train=dataclasses.replace(task.train, seed=1))) != first


def test_moments_that_fade_are_zero_before_they_are_slow(tmp_path: Path) -> None:
    """What is below float32's smallest normal number, 1.2e-38, takes a processor far longer."""
    torch.set_flush_denormal(False)
    fit(make_task(tmp_path, corpus(8)))
    assert (torch.full((64,), 1e-38) * 0.1 == 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_each_model_overfits_eight_documents(tmp_path: Path, name: str) -> None:
    """With its own settings: the labels are random, so it must know each document."""
    rows = corpus(8)
    for document, label in zip(rows, np.random.default_rng(1).permutation(LABELS * 3)[:8].tolist(), strict=True):
        document["labels"] = [label]
    options = dataclasses.asdict(config.load([f"model={name}"]).model)
    train = {"epochs": 80, "lr": 0.1 if name in ("linear", "logistic") else 0.01}
    task = make_task(tmp_path, rows, model=name, options=options, validation_share=0.0, train=train)
    fit(task)
    seal(tmp_path / "run", model=name, options=options, documents=len(rows))
    scores = bundle.load(task.folder, models=MODELS).score(stored_of(rows))
    assert [LABELS[place] for place in scores.argmax(1)] == [document["labels"][0] for document in rows]
    assert scores.max(1).min() > 0.6


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_every_parameter(name: str) -> None:
    options = dataclasses.asdict(config.load([f"model={name}"]).model)
    torch.manual_seed(0)
    model = architecture.build(name, options, terms=TERMS, classes=3)
    places = [list(range(10)), [], list(range(10, 30)), list(range(30, TERMS))]
    bags = Ragged((np.arange(TERMS), np.ones(TERMS, np.float32)), ragged(places).offsets)
    words = ragged([[FIRST + place for place in row] for row in places])
    pixels = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 1), dtype=np.uint8)
    logits = model(tensors(Documents(bags, words, Stack(pixels))))
    assert logits.shape == (4, 3)
    cross_entropy(logits, torch.tensor([0, 1, 2, 2])).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name
        if parameter_name == "table.weight":
            assert (parameter.grad.abs().sum(1) > 0).all(), "a term learns nothing"


BUNDLES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in MODELS),
    ("mlp", {"hidden": [32], "dropout": 0.5}),
    ("mlp", {"hidden": [8, 4], "activation": "tanh"}),
    ("rnn", {"embedding": 6, "hidden": 4, "cell": "rnn", "directions": 1, "layers": 2}),
    ("rnn", {"embedding": 6, "hidden": 4, "cell": "gru", "length": 9}),
    ("transformer", {"embedding": 8, "n_layers": 2, "n_heads": 2, "feedforward": 12}),
    ("transformer", {"embedding": 8, "positions": "sinusoidal", "length": 9}),
]


@pytest.mark.parametrize(("name", "options"), BUNDLES, ids=str)
def test_a_document_scores_the_same_alone_and_in_a_batch(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    loaded = bundle.load(str(make_bundle(tmp_path, name, options)), models=MODELS)
    empty: dict[str, Any] = {"terms": [], "counts": [], "sequence": []}
    rows = [*corpus(AT_ONCE - 1), empty, *corpus(40, seed=1), {"terms": [1], "counts": [3], "sequence": [0]}]
    together = loaded.score(stored_of(rows))
    assert together.shape == (len(rows), len(LABELS))
    assert together.dtype == np.float32
    np.testing.assert_allclose(together.sum(1), 1, rtol=1e-5)
    for place in [0, 1, 500, AT_ONCE - 2, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, len(rows) - 1]:
        own = loaded.score(stored_of([rows[place]]))
        np.testing.assert_allclose(own[0], together[place], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(together[AT_ONCE - 1], together[-1])  # no term at all, and no known one
    assert loaded.score(stored_of([])).shape == (0, len(LABELS))


@pytest.mark.parametrize(("name", "options"), BUNDLES, ids=str)
def test_a_saved_and_loaded_model_scores_equal(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    rows = corpus(30)
    task = make_task(tmp_path, rows, model=name, options=options)
    exit_records.clear(task.folder)
    fit(task)
    seal(tmp_path / "run", model=name, options=options, documents=len(rows))
    loaded = bundle.load(task.folder, models=MODELS)
    assert exit_records.digest(loaded.model) == exit_records.found(task.folder, "done")[0]["weights"]
    assert not loaded.model.training
    work = work_of(task)
    held = np.flatnonzero(work.held)
    by_loop = evaluate(work, loaded.model, held)
    loaded.model.eval()
    scores = loaded.outputs(work.feed.reader.read(held))
    labels = work.feed.index.label[held]
    assert by_loop is not None
    assert by_loop["accuracy"] == (scores.argmax(1) == labels).mean()
    assert by_loop["loss"] == pytest.approx(-np.log(scores[np.arange(len(labels)), labels]).mean(), rel=1e-5)
    other = tmp_path / "copy"
    other.mkdir()
    (other / vocabulary.FILE).write_bytes((tmp_path / "run" / vocabulary.FILE).read_bytes())
    weights.save(str(other), loaded.model)
    seal(other, model=name, options=options, documents=len(rows))
    again = bundle.load(str(other), models=MODELS)
    np.testing.assert_array_equal(again.score(stored_of(rows)), loaded.score(stored_of(rows)))


def test_the_best_epochs_weights_are_kept(tmp_path: Path) -> None:
    """A learning rate that ruins the model after its best epoch: patience ends training, and the best one stays."""
    options = {"hidden": [16], "dropout": 0.0}
    rows = corpus(60)
    for document in rows[::4]:
        document["labels"] = ["land"]  # noise, so that the validation loss rises in the end
    train = {"epochs": 60, "lr": 0.05, "patience": 4, "schedule": "constant"}
    task = make_task(tmp_path, rows, options=options, train=train)
    result = fit(task)
    first = fit(make_task(tmp_path / "first", rows, options=options, train=train | {"epochs": 1}))
    assert 1 < result["epochs"] < 60
    assert result["validation"]["loss"] < first["validation"]["loss"]
    assert result["steps"] == (result["epochs"] + 4) * math.ceil(result["documents"] / 8)
    seal(tmp_path / "run", model="mlp", options=options, documents=len(rows))
    work = work_of(task)
    model = bundle.load(task.folder, models=MODELS).model
    assert evaluate(work, model, np.flatnonzero(work.held)) == result["validation"]


def test_the_last_epochs_weights_are_kept(tmp_path: Path) -> None:
    """Where that is asked for, of the same training: all epochs, whatever the validation loss says."""
    options = {"hidden": [16], "dropout": 0.0}
    rows = corpus(60)
    for document in rows[::4]:
        document["labels"] = ["land"]
    train = {"epochs": 12, "lr": 0.05, "patience": 2, "schedule": "constant"}
    best = fit(make_task(tmp_path / "best", rows, options=options, train=train))
    task = make_task(tmp_path / "last", rows, options=options, train=train | {"keep": "last"})
    last = fit(task)
    assert best["epochs"] < last["epochs"] == 12
    assert last["validation"]["loss"] > best["validation"]["loss"]
    seal(Path(task.folder), model="mlp", options=options, documents=len(rows))
    work = work_of(task)
    model = bundle.load(task.folder, models=MODELS).model
    assert evaluate(work, model, np.flatnonzero(work.held)) == last["validation"]


def test_refit_learns_from_all_documents(tmp_path: Path) -> None:
    plain = fit(make_task(tmp_path / "plain", corpus(30), train={"epochs": 2}))
    refit = fit(make_task(tmp_path / "refit", corpus(30), train={"epochs": 2, "refit": True}))
    assert plain["documents"] == 24
    assert refit["documents"] == 30
    assert refit["validation"] == plain["validation"]
    assert refit["steps"] == plain["steps"] + refit["epochs"] * 4


def test_targets_are_learnt_whatever_their_unit(tmp_path: Path) -> None:
    """Also where 32 bits could not tell them apart; two ranks' worth of shards."""
    rows = [row | {"target": 1.7e9 + 10.0 * (number % 3)} for number, row in enumerate(corpus(60))]
    train = {"loss": "mse", "epochs": 60, "lr": 0.02, "shards": 2, "batch": 16}
    task = make_task(tmp_path, rows, labels=[], model="linear", options={}, train=train)
    result = fit(task)
    assert result["target"]["mean"] == pytest.approx(1.7e9 + 10, abs=2)
    assert result["validation"]["rmse"] < 5
    for row in rows:
        row["target"] = 1e308
    with pytest.raises(ValueError, match="the targets are too large"):
        fit(make_task(tmp_path / "large", rows, labels=[], model="linear", options={}, train=train))


def test_a_loss_without_bounds_is_reported(tmp_path: Path) -> None:
    task = make_task(tmp_path, corpus(30), train={"optimizer": "sgd", "lr": 1e30})
    with pytest.raises(ValueError, match=r"train\.lr"):
        fit(task)


@pytest.mark.parametrize("name", ["../evil", "/evil", "training.loop", "os.path", "", "absent", "a b", "mlp.py"])
def test_a_model_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"model"):
        architecture.build(name, {}, terms=2, classes=2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"hidden": []},
        {"hidden": [0]},
        {"hidden": [2.5]},
        {"hidden": 3},
        {"hidden": [True]},
        {"hidden": [2] * 17},
        {"activation": "relu6"},
        {"dropout": 1.0},
        {"dropout": math.nan},
        {"dropout": "0.5"},
        {"width": 3},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"model.{next(iter(wrong))}"):
        architecture.build("mlp", wrong, terms=2, classes=2)


def test_the_cases_are_what_they_say() -> None:
    assert (ROOT / "pyproject.toml").is_file()
    assert len(set(IDS)) == TERMS
    assert "mlp" in MODELS
