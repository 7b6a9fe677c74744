"""Losses, schedules, penalties and gradients: against formulas, against torch, and against each other."""

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn, optim

from models.bundles import architecture, weights
from models.dataset.inputs import Bags, Inputs
from models.dataset.loader import Part
from models.ranks.process_group import Group
from models.training import history
from models.training.gradients import Gradients
from models.training.loop import fit
from models.training.losses import balanced, loss
from models.training.optimizers import Plateau, factor
from models.training.task import Options, Task
from tests.models.cases import TERMS, corpus, make_task

OUTPUTS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 0.0, 3.0]])


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


def part(labels: list[int], targets: list[float] | None = None) -> Part:
    marks = torch.nn.functional.one_hot(torch.tensor(labels), 3).bool()
    return Part(Inputs(), torch.tensor(labels), marks, torch.tensor(targets or [0.0] * len(labels)))


@pytest.mark.parametrize("smooth", [0.0, 0.1])
def test_cross_entropy_is_its_formula(smooth: float) -> None:
    p = np.exp(OUTPUTS.numpy()) / np.exp(OUTPUTS.numpy()).sum(1, keepdims=True)
    target = np.array([[1, 0, 0], [0, 0, 1]]) * (1 - smooth) + smooth / 3
    found = loss(Options(label_smoothing=smooth), OUTPUTS, part([0, 2]))
    assert found.item() == pytest.approx(-(target * np.log(p)).sum(), rel=1e-5)


@pytest.mark.parametrize("smooth", [0.0, 0.1])
def test_binary_is_its_formula(smooth: float) -> None:
    p = 1 / (1 + np.exp(-OUTPUTS.numpy()))
    target = np.array([[1, 1, 0], [0, 0, 0]]) * (1 - smooth) + smooth / 2
    marks = torch.tensor([[True, True, False], [False, False, False]])
    documents = dataclasses.replace(part([0, 0]), marks=marks)
    found = loss(Options(loss="binary", label_smoothing=smooth), OUTPUTS, documents)
    assert found.item() == pytest.approx(-(target * np.log(p) + (1 - target) * np.log(1 - p)).sum(), rel=1e-5)


def test_mse_is_its_formula() -> None:
    found = loss(Options(loss="mse"), torch.tensor([[1.0], [4.0]]), part([0, 0], [2.0, 1.5]))
    assert found.item() == pytest.approx(1 + 6.25)


def test_balanced_weights_are_scikit_learns() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.array([0, 0, 0, 0, 2, 2, 3])
    expected = compute_class_weight("balanced", classes=np.array([0, 2, 3]), y=labels)
    assert balanced(torch.from_numpy(labels), 4)[[0, 2, 3]].tolist() == pytest.approx(
        (expected * 3 / 4).tolist(), rel=1e-6
    )
    assert balanced(torch.from_numpy(labels), 4)[1] == 0
    found = loss(Options(), OUTPUTS, part([0, 2]), torch.tensor([2.0, 1.0, 0.5]))
    each = [loss(Options(), OUTPUTS[row : row + 1], part([label])).item() for row, label in ((0, 0), (1, 2))]
    assert found.item() == pytest.approx(2 * each[0] + 0.5 * each[1])


def test_one_cycle_is_torchs() -> None:
    descent = optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = optim.lr_scheduler.OneCycleLR(descent, max_lr=0.1, total_steps=101, cycle_momentum=False)
    for step in range(100):
        # torch counts the steps from 0 to the last one, we to one behind it
        expected = schedule.get_last_lr()[0]
        assert 0.1 * factor(Options(schedule="onecycle"), step, steps=100) == pytest.approx(expected, abs=0.003), step
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            schedule.step()


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("constant", [1, 1, 1, 1]), ("linear", [1, 0.75, 0.5, 0.25]), ("cosine", [1, 0.8536, 0.5, 0.1464])],
)
def test_schedules_fall_as_they_say(schedule: str, expected: list[float]) -> None:
    found = [factor(Options(schedule=schedule), step, steps=4) for step in range(4)]
    assert found == pytest.approx(expected, abs=1e-4)
    warm = [factor(Options(schedule=schedule, warmup=0.5), step, steps=8) for step in range(8)]
    assert warm == pytest.approx([0.2, 0.4, 0.6, 0.8, *expected], abs=1e-4)


def test_a_plateau_lowers_the_rate() -> None:
    options, plateau, found = Options(schedule="plateau", plateau_patience=2, plateau_factor=0.1), Plateau(), []
    for value in (1.0, 0.5, 0.6, 0.5, 0.4, 0.4, 0.4, 0.4):
        plateau.see(options, value)
        found.append(plateau.factor)
    assert found == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01])


def trained(folder: Path, *, model: str = "mlp", **train: Any) -> Task:
    options = {"hidden": [16], "dropout": 0.0} if model == "mlp" else {}
    rows = [row for number, row in enumerate(corpus(72)) if number % 3 or number % 2]  # one class is half as large
    task = make_task(folder, rows, model=model, options=options, train={"epochs": 3} | train)
    fit(task)
    return task


def state(task: Task) -> dict[str, torch.Tensor]:
    return load_file(Path(task.folder) / weights.FILE)


def test_lasso_makes_zeros_and_decay_makes_small_weights(tmp_path: Path) -> None:
    settings = {"model": "logistic", "optimizer": "sgd", "lr": 0.5, "schedule": "constant", "momentum": 0.0}
    plain, lasso, ridge = (
        state(trained(tmp_path / name, **settings, **more))["table.weight"]
        for name, more in (("plain", {}), ("lasso", {"l1": 0.03}), ("ridge", {"weight_decay": 0.05}))
    )
    assert (plain == 0).float().mean() < 0.1
    assert 0.2 < (lasso == 0).float().mean() < 0.95
    assert ridge.norm() < 0.9 * plain.norm()
    assert (ridge == 0).float().mean() < 0.1


def test_pieces_of_a_batch_give_the_same_gradient(tmp_path: Path) -> None:
    whole, pieces = (state(trained(tmp_path / str(number), accumulate=number)) for number in (1, 3))
    for name, tensor in whole.items():
        torch.testing.assert_close(pieces[name], tensor, rtol=1e-4, atol=1e-5)


def test_clipping_class_weights_and_bfloat16_change_what_is_learnt(tmp_path: Path) -> None:
    plain = history.read(trained(tmp_path / "plain").folder)["loss"].to_numpy()
    for number, more in enumerate(
        [{"clip": 0.01}, {"class_weights": "balanced"}, {"autocast": True}, {"loss": "binary"}]
    ):
        rows = history.read(trained(tmp_path / str(number), **more).folder)
        found = rows["loss"].to_numpy()
        assert not np.array_equal(found, plain), more
        assert found[-5:].mean() < found[:5].mean(), more


def test_the_history_has_each_step(tmp_path: Path) -> None:
    task = trained(tmp_path, schedule="linear", tensorboard=True)
    table = history.read(task.folder)
    assert table.column_names == ["step", *history.NAMES]
    assert table["step"].to_pylist() == list(range(1, 3 * 6 + 1))
    assert table["learning_rate"].to_pylist() == pytest.approx([0.01 * (1 - step / 18) for step in range(18)])
    assert min(table["documents_per_second"].to_pylist()) > 0
    assert min(table["memory_mb"].to_pylist()) > 50
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(Path(task.folder) / history.EVENTS))
    events.Reload()
    losses = [event.value for event in events.Scalars("train/loss")]
    assert losses == pytest.approx(table["loss"].to_pylist(), rel=1e-6)


def test_sparse_gradients_are_the_dense_ones() -> None:
    gradients = {}
    for sparse in (True, False):
        torch.manual_seed(1)
        model = architecture.build("mlp", {"hidden": [8], "dropout": 0.0}, terms=TERMS, classes=3)
        both = Gradients(model, Group(0, 1), sparse=sparse)
        for seed in (0, 1):  # the second step must not see the first one's rows
            torch.manual_seed(seed)
            both.clear()
            for _ in range(2):
                indices = torch.randint(0, TERMS // (1 + seed), (9,))
                outputs = model(Inputs(Bags(indices, torch.tensor([0, 4, 4]), torch.rand(9))))
                outputs.square().sum().backward()
                both.collect()
            assert both.sync(torch.tensor(3.5)) == 3.5
        gradients[sparse] = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert gradients[True].keys() == gradients[False].keys()
    assert len(gradients[True]) == 4
    for name, dense in gradients[False].items():
        torch.testing.assert_close(gradients[True][name], dense)


def test_impossible_settings_are_refused() -> None:
    for wrong in (
        {"schedule": "steps"},
        {"loss": "hinge"},
        {"accumulate": 0},
        {"l1": -1.0},
        {"plateau_factor": 1.0},
        {"ranks": 3, "shards": 2},
        {"batch": 2, "shards": 3},
        {"cache_gb": -0.5},
    ):
        with pytest.raises(ValueError, match=f"train.{next(iter(wrong))}"):
            dataclasses.replace(Options(), **wrong)  # type: ignore[arg-type]
