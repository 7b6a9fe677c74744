"""Every model learns, equally each time, and a document's scores do not depend on its neighbours."""

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
from models.dataset.encoder import MAX_DOCUMENTS, EncodedDocuments, to_inputs
from models.dataset.inputs import FIRST_TERM, Inputs
from models.dataset.ragged import Ragged, Stack
from models.ranks import exit_records
from models.training.evaluation import evaluate
from models.training.figures import TrainingFigures
from models.training.loop import fit
from models.training.task import Task
from pipelines import config
from tests.models.cases import (
    LABELS,
    MODELS,
    TERMS,
    corpus,
    make_bundle,
    make_context,
    make_task,
    publish,
    ragged,
    stored_of,
)


@pytest.fixture(autouse=True)
def single_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process, whatever started the tests."""
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


def digest(task: Task) -> str:
    """Train, and return the digest of the weights."""
    exit_records.clear(task.folder)
    fit(task)
    (done,) = exit_records.done_records(task.folder)
    return done.weights


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


def test_denormal_numbers_are_flushed_to_zero(tmp_path: Path) -> None:
    """A processor takes far longer over numbers below float32's smallest normal one, 1.2e-38."""
    torch.set_flush_denormal(False)
    fit(make_task(tmp_path, corpus(8)))
    assert (torch.full((64,), 1e-38) * 0.1 == 0).all()


@pytest.mark.parametrize("name", MODELS)
def test_each_model_overfits_eight_documents(tmp_path: Path, name: str) -> None:
    """With its default settings. The labels are random, so it must know each document."""
    rows = corpus(8)
    for document, label in zip(rows, np.random.default_rng(1).permutation(LABELS * 3)[:8].tolist(), strict=True):
        document["labels"] = [label]
    options = dataclasses.asdict(config.load([f"model={name}"]).model)
    train = {"epochs": 80, "lr": 0.1 if name in ("linear", "logistic") else 0.01}
    task = make_task(tmp_path, rows, model=name, options=options, validation_share=0.0, train=train)
    fit(task)
    publish(tmp_path / "run", model=name, options=options, documents=len(rows))
    scores = bundle.load(task.folder, models=MODELS).score(stored_of(rows))
    assert [LABELS[label] for label in scores.argmax(1)] == [document["labels"][0] for document in rows]
    assert scores.max(1).min() > 0.6


def every_input() -> Inputs:
    """Four documents with everything that a model may read; together they have each term once."""
    terms = [list(range(10)), [], list(range(10, 30)), list(range(30, TERMS))]
    bags = Ragged((np.arange(TERMS), np.ones(TERMS, np.float32)), ragged(terms).offsets)
    words = ragged([[FIRST_TERM + term for term in row] for row in terms])
    pixels = np.random.default_rng(0).integers(0, 256, (4, 28, 28, 1), dtype=np.uint8)
    return to_inputs(EncodedDocuments(bags, words, Stack(pixels)))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_needs_no_more_than_it_declares_to_read(name: str) -> None:
    options = dataclasses.asdict(config.load([f"model={name}"]).model)
    model = architecture.build(name, options, terms=TERMS, classes=3).eval()
    reads, everything = architecture.find_module(name).READS, every_input()
    declared = Inputs(
        bags=everything.bags if "bags" in reads else None,
        words=everything.words if "words" in reads else None,
        image_BHWC=everything.image_BHWC if "image" in reads else None,
    )
    assert torch.equal(model(declared), model(everything))
    assert model(declared).shape == (4, 3)
    for part in reads:
        field = "image_BHWC" if part == "image" else part
        with pytest.raises(AssertionError):
            model(dataclasses.replace(declared, **{field: None}))


@pytest.mark.parametrize("name", MODELS)
def test_gradients_reach_every_parameter(name: str) -> None:
    options = dataclasses.asdict(config.load([f"model={name}"]).model)
    torch.manual_seed(0)
    model = architecture.build(name, options, terms=TERMS, classes=3)
    logits = model(every_input())
    assert logits.shape == (4, 3)
    cross_entropy(logits, torch.tensor([0, 1, 2, 2])).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name
        if parameter_name == "table.weight":
            assert (parameter.grad.abs().sum(1) > 0).all(), "some term's weights learn nothing"


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
    rows = [*corpus(MAX_DOCUMENTS - 1), empty, *corpus(40, seed=1), {"terms": [1], "counts": [3], "sequence": [0]}]
    together = loaded.score(stored_of(rows))
    assert together.shape == (len(rows), len(LABELS))
    assert together.dtype == np.float32
    np.testing.assert_allclose(together.sum(1), 1, rtol=1e-5)
    last = MAX_DOCUMENTS - 1  # of those that are scored at once
    for number in [0, 1, 500, last - 1, last, last + 1, last + 2, len(rows) - 1]:
        own = loaded.score(stored_of([rows[number]]))
        np.testing.assert_allclose(own[0], together[number], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(together[last], together[-1])  # no term, and no known term
    assert loaded.score(stored_of([])).shape == (0, len(LABELS))


@pytest.mark.parametrize(("name", "options"), BUNDLES, ids=str)
def test_a_saved_and_loaded_model_scores_equal(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    rows = corpus(30)
    task = make_task(tmp_path, rows, model=name, options=options)
    exit_records.clear(task.folder)
    fit(task)
    publish(tmp_path / "run", model=name, options=options, documents=len(rows))
    loaded = bundle.load(task.folder, models=MODELS)
    assert weights.digest(loaded.model) == exit_records.done_records(task.folder)[0].weights
    assert not loaded.model.training
    context = make_context(task)
    rows_held = np.flatnonzero(context.validation_mask)
    by_loop = evaluate(context, loaded.model, rows_held)
    loaded.model.eval()
    scores = loaded.score_encoded(context.cache.reader.read(rows_held))
    labels = context.cache.index.label[rows_held]
    assert by_loop is not None
    assert by_loop["accuracy"] == (scores.argmax(1) == labels).mean()
    assert by_loop["loss"] == pytest.approx(-np.log(scores[np.arange(len(labels)), labels]).mean(), rel=1e-5)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / vocabulary.FILE).write_bytes((tmp_path / "run" / vocabulary.FILE).read_bytes())
    weights.save(str(copy), loaded.model)
    publish(copy, model=name, options=options, documents=len(rows))
    again = bundle.load(str(copy), models=MODELS)
    np.testing.assert_array_equal(again.score(stored_of(rows)), loaded.score(stored_of(rows)))


def test_the_best_epochs_weights_are_kept(tmp_path: Path) -> None:
    """A learning rate that ruins the model after its best epoch: patience ends training, and the best one stays."""
    options = {"hidden": [16], "dropout": 0.0}
    rows = corpus(60)
    for document in rows[::4]:
        document["labels"] = ["land"]  # noise, so that the validation loss rises in the end
    train = {"epochs": 60, "lr": 0.05, "patience": 4, "schedule": "constant"}
    task = make_task(tmp_path, rows, options=options, train=train)
    figures = fit(task)
    first = fit(make_task(tmp_path / "first", rows, options=options, train=train | {"epochs": 1}))
    assert 1 < figures.epochs < 60
    assert validation_loss(figures) < validation_loss(first)
    assert figures.steps == (figures.epochs + 4) * math.ceil(figures.documents / 8)
    publish(tmp_path / "run", model="mlp", options=options, documents=len(rows))
    context = make_context(task)
    model = bundle.load(task.folder, models=MODELS).model
    assert evaluate(context, model, np.flatnonzero(context.validation_mask)) == figures.validation


def test_the_last_epochs_weights_are_kept(tmp_path: Path) -> None:
    """With `keep=last`, whatever the validation loss says."""
    options = {"hidden": [16], "dropout": 0.0}
    rows = corpus(60)
    for document in rows[::4]:
        document["labels"] = ["land"]
    train = {"epochs": 12, "lr": 0.05, "patience": 2, "schedule": "constant"}
    best = fit(make_task(tmp_path / "best", rows, options=options, train=train))
    task = make_task(tmp_path / "last", rows, options=options, train=train | {"keep": "last"})
    last = fit(task)
    assert best.epochs < last.epochs == 12
    assert validation_loss(last) > validation_loss(best)
    publish(Path(task.folder), model="mlp", options=options, documents=len(rows))
    context = make_context(task)
    model = bundle.load(task.folder, models=MODELS).model
    assert evaluate(context, model, np.flatnonzero(context.validation_mask)) == last.validation


def validation_loss(figures: TrainingFigures) -> float:
    assert figures.validation
    return figures.validation["loss"]


def test_refit_learns_from_all_documents(tmp_path: Path) -> None:
    plain = fit(make_task(tmp_path / "plain", corpus(30), train={"epochs": 2}))
    refit = fit(make_task(tmp_path / "refit", corpus(30), train={"epochs": 2, "refit": True}))
    assert plain.documents == 24
    assert refit.documents == 30
    assert refit.validation == plain.validation
    assert refit.steps == plain.steps + refit.epochs * 4


def test_targets_are_learnt_whatever_their_unit(tmp_path: Path) -> None:
    """Also targets that differ by less than float32 resolves, and with two shards."""
    rows = [row | {"target": 1.7e9 + 10.0 * (number % 3)} for number, row in enumerate(corpus(60))]
    train = {"loss": "mse", "epochs": 60, "lr": 0.02, "shards": 2, "batch": 16}
    task = make_task(tmp_path, rows, labels=[], model="linear", options={}, train=train)
    figures = fit(task)
    assert figures.target.mean == pytest.approx(1.7e9 + 10, abs=2)
    assert figures.validation
    assert figures.validation["rmse"] < 5
    for row in rows:
        row["target"] = 1e308
    with pytest.raises(ValueError, match="the targets are too large"):
        fit(make_task(tmp_path / "large", rows, labels=[], model="linear", options={}, train=train))


def test_a_loss_that_is_not_finite_is_reported(tmp_path: Path) -> None:
    task = make_task(tmp_path, corpus(30), train={"optimizer": "sgd", "lr": 1e30})
    with pytest.raises(ValueError, match=r"train\.lr"):
        fit(task)
