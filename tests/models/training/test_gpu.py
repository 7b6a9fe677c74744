"""On a GPU a model learns what it learns on a CPU, and a stopped run goes on exactly."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from models.bundles import architecture, weights
from models.training import history
from models.training.loop import fit
from models.training.task import Task
from tests.models.cases import MODELS, corpus, make_task
from tests.models.training.test_resume import stop_at

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.fixture(autouse=True)
def single_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


def task_of(folder: Path, name: str, *, dropout: bool, **train: Any) -> Task:
    options = dataclasses.asdict(architecture.find_module(name).Options())
    if not dropout:
        options |= {key: 0.0 for key in options if "dropout" in key}
    settings = {"epochs": 3, "batch": 16, "lr": 0.002, "gpu": True, "patience": 0}
    return make_task(folder, corpus(60), model=name, options=options, train=settings | train)


def losses(task: Task) -> Any:
    return history.read(task.folder)["loss"].to_numpy()


@pytest.mark.parametrize("name", MODELS)
def test_losses_equal_those_of_a_cpu(tmp_path: Path, name: str) -> None:
    on_gpu, on_cpu = (task_of(tmp_path / str(gpu), name, dropout=False, gpu=gpu) for gpu in (True, False))
    figures, expected = fit(on_gpu), fit(on_cpu)
    assert losses(on_gpu) == pytest.approx(losses(on_cpu), rel=2e-3)
    assert figures.validation
    assert expected.validation
    assert figures.validation["loss"] == pytest.approx(expected.validation["loss"], rel=2e-2)


@pytest.mark.parametrize("name", MODELS)
def test_a_stopped_run_ends_with_the_weights_of_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    undisturbed, task = (
        task_of(tmp_path / folder, name, dropout=True, checkpoint_steps=2) for folder in ("undisturbed", "stopped")
    )
    fit(undisturbed)
    stop_at(monkeypatch, task, 6)
    assert fit(task).resumed_at == 4
    first, second = ((Path(each.folder) / weights.FILE).read_bytes() for each in (undisturbed, task))
    assert first == second


def test_bfloat16_learns(tmp_path: Path) -> None:
    task = task_of(tmp_path, "transformer", dropout=True, autocast=True, epochs=20)
    fit(task)
    assert losses(task)[-4:].mean() < 0.7 * losses(task)[:4].mean()
