"""Learning-rate schedules and penalties equal their formulas, and do to the weights what they promise."""

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn, optim

from models.bundles import weights
from models.training import history
from models.training.loop import fit
from models.training.optimizers import Plateau, learning_rate_factor, soft_threshold
from models.training.task import Options, Task
from tests.models.cases import corpus, make_task


@pytest.fixture(autouse=True)
def single_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


def test_one_cycle_equals_torchs() -> None:
    optimizer = optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=101, cycle_momentum=False)
    for step in range(100):
        # torch reaches the end of the cycle in the last step, we reach it after that step
        expected = schedule.get_last_lr()[0]
        factor = learning_rate_factor(Options(schedule="onecycle"), step, steps=100)
        assert 0.1 * factor == pytest.approx(expected, abs=0.003), step
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            schedule.step()


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [("constant", [1, 1, 1, 1]), ("linear", [1, 0.75, 0.5, 0.25]), ("cosine", [1, 0.8536, 0.5, 0.1464])],
)
def test_schedules_warm_up_and_fall(schedule: str, expected: list[float]) -> None:
    factors = [learning_rate_factor(Options(schedule=schedule), step, steps=4) for step in range(4)]
    assert factors == pytest.approx(expected, abs=1e-4)
    warm = [learning_rate_factor(Options(schedule=schedule, warmup=0.5), step, steps=8) for step in range(8)]
    assert warm == pytest.approx([0.2, 0.4, 0.6, 0.8, *expected], abs=1e-4)


def test_a_plateau_lowers_the_learning_rate() -> None:
    options, plateau = Options(schedule="plateau", plateau_patience=2, plateau_factor=0.1), Plateau()
    factors = []
    for loss in (1.0, 0.5, 0.6, 0.5, 0.4, 0.4, 0.4, 0.4):
        plateau.observe(options, loss)
        factors.append(plateau.factor)
    assert factors == pytest.approx([1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_the_soft_threshold_moves_weights_to_zero_and_not_beyond() -> None:
    parameter = nn.Parameter(torch.tensor([0.5, -0.5, 0.2, -0.1, 0.0]))
    soft_threshold([parameter], 0.2)
    assert parameter.tolist() == pytest.approx([0.3, -0.3, 0.0, 0.0, 0.0])


def trained(folder: Path, *, model: str = "mlp", **train: Any) -> Task:
    options = {"hidden": [16], "dropout": 0.0} if model == "mlp" else {}
    rows = [row for number, row in enumerate(corpus(72)) if number % 3 or number % 2]  # one class is half as large
    task = make_task(folder, rows, model=model, options=options, train={"epochs": 3} | train)
    fit(task)
    return task


def weights_of(task: Task) -> dict[str, torch.Tensor]:
    return load_file(Path(task.folder) / weights.FILE)


def test_l1_makes_weights_zero_and_weight_decay_makes_them_small(tmp_path: Path) -> None:
    settings = {"model": "logistic", "optimizer": "sgd", "lr": 0.5, "schedule": "constant", "momentum": 0.0}
    plain, lasso, ridge = (
        weights_of(trained(tmp_path / name, **settings, **penalty))["table.weight"]
        for name, penalty in (("plain", {}), ("lasso", {"l1": 0.03}), ("ridge", {"weight_decay": 0.05}))
    )
    assert (plain == 0).float().mean() < 0.1
    assert 0.2 < (lasso == 0).float().mean() < 0.95
    assert ridge.norm() < 0.9 * plain.norm()
    assert (ridge == 0).float().mean() < 0.1


def test_gradient_accumulation_gives_the_same_weights(tmp_path: Path) -> None:
    single, accumulated = (weights_of(trained(tmp_path / str(n), accumulate=n)) for n in (1, 3))
    for name, tensor in single.items():
        torch.testing.assert_close(accumulated[name], tensor, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "setting", [{"clip": 0.01}, {"class_weights": "balanced"}, {"autocast": True}, {"loss": "binary"}], ids=str
)
def test_settings_change_the_losses_and_the_model_still_learns(tmp_path: Path, setting: dict[str, Any]) -> None:
    plain, changed = (
        history.read(trained(tmp_path / name, **train).folder)["loss"].to_numpy()
        for name, train in (("plain", {}), ("changed", setting))
    )
    assert not np.array_equal(changed, plain)
    assert changed[-5:].mean() < changed[:5].mean()


@pytest.mark.parametrize(
    "wrong",
    [
        {"schedule": "steps"},
        {"loss": "hinge"},
        {"accumulate": 0},
        {"l1": -1.0},
        {"plateau_factor": 1.0},
        {"ranks": 3, "shards": 2},
        {"batch": 2, "shards": 3},
        {"cache_gb": -0.5},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"train.{next(iter(wrong))}"):
        dataclasses.replace(Options(), **wrong)
