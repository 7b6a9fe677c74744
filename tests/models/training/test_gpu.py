"""With a GPU: what is learnt on it is what is learnt without, and a run that was stopped goes on exactly."""

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
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("WORLD_SIZE", raising=False)


def task_of(folder: Path, name: str, *, dropout: bool, **train: Any) -> Task:
    options = dataclasses.asdict(architecture.found(name).Options())
    if not dropout:
        options |= {key: 0.0 for key in options if "dropout" in key}
    settings = {"epochs": 3, "batch": 16, "lr": 0.002, "gpu": True, "patience": 0}
    return make_task(folder, corpus(60), model=name, options=options, train=settings | train)


def losses(task: Task) -> Any:
    return history.read(task.folder)["loss"].to_numpy()


@pytest.mark.parametrize("name", MODELS)
def test_losses_are_those_of_a_cpu(tmp_path: Path, name: str) -> None:
    there, here = (task_of(tmp_path / str(gpu), name, dropout=False, gpu=gpu) for gpu in (True, False))
    found, expected = fit(there), fit(here)
    assert losses(there) == pytest.approx(losses(here), rel=2e-3)
    assert found["validation"]["loss"] == pytest.approx(expected["validation"]["loss"], rel=2e-2)


@pytest.mark.parametrize("name", MODELS)
def test_a_stopped_run_ends_with_the_weights_of_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    whole, task = (task_of(tmp_path / place, name, dropout=True, checkpoint_steps=2) for place in ("whole", "stopped"))
    fit(whole)
    stop_at(monkeypatch, task, 6)
    assert fit(task)["resumed_at"] == 4
    first, second = ((Path(each.folder) / weights.FILE).read_bytes() for each in (whole, task))
    assert first == second


def test_bfloat16_learns(tmp_path: Path) -> None:
    task = task_of(tmp_path, "transformer", dropout=True, autocast=True, epochs=20)
    fit(task)
    assert losses(task)[-4:].mean() < 0.7 * losses(task)[:4].mean()
