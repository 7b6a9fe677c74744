"""A shard draws the same dropout alone, beside other shards, and on any rank."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.bundles import architecture
from models.dataset.loader import training_batches
from models.dataset.sampling import SamplingPlan, ShardAssignment
from models.ranks.process_group import ProcessGroup
from models.training.dropout_streams import DropoutStreams
from models.training.run_context import RunContext
from models.training.trainer import Trainer, train_step
from pipelines import config
from tests.models.cases import LABELS, MODELS, TERMS, corpus, make_context, make_task

CPU = torch.device("cpu")


def gradients(context: RunContext, assignment: ShardAssignment, *, accumulate: int) -> list[Tensor]:
    """The gradients of the first step on a rank's shards, without those of other ranks."""
    torch.manual_seed(3)
    task = context.task
    model = architecture.build(task.model, task.options, terms=TERMS, classes=len(LABELS))
    trainer = Trainer.of(model, task.train, ProcessGroup(0, 1))
    plan = SamplingPlan(np.arange(len(context.cache.index)), task.train.batch, 1, 0, accumulate)
    _, _, batch = next(training_batches(context.cache, plan, assignment))
    train_step(context, trainer, batch, 5, 0.0)
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_the_gradients_of_all_ranks_add_up_to_those_of_one(tmp_path: Path, name: str, accumulate: int) -> None:
    options = dataclasses.asdict(config.load([f"model={name}"]).model)
    rows = [row | {"sequence": row["sequence"][: 1 + number % 9]} for number, row in enumerate(corpus(18))]
    context = make_context(make_task(tmp_path, rows, model=name, options=options, train={"batch": 13, "shards": 4}))
    single = gradients(context, ShardAssignment(0, 1, 4), accumulate=accumulate)
    assert all(gradient.abs().max() > 0 for gradient in single)
    for ranks in (2, 3, 4):
        parts = [gradients(context, ShardAssignment(rank, ranks, 4), accumulate=accumulate) for rank in range(ranks)]
        for expected, *of_ranks in zip(single, *parts, strict=True):
            torch.testing.assert_close(sum(of_ranks), expected, rtol=1e-4, atol=1e-7)
    if name not in ("linear", "logistic"):
        other = gradients(context, ShardAssignment(0, 1, 1), accumulate=accumulate)
        assert any((a - b).abs().max() > 1e-4 for a, b in zip(single, other, strict=True)), "there is no dropout"


def dropped(shards: Any, *, step: int = 1, seed: int = 0, share: float = 0.25, width: int = 2000) -> Tensor:
    model = nn.Sequential(nn.Dropout(share))
    streams = DropoutStreams(model, CPU, seed=seed)
    streams.begin_step(step)
    streams.assign_shards(shards)
    result: Tensor = model(torch.ones(sum(count for _, count in shards), width))
    return result


def test_masks_are_a_function_of_seed_step_and_shard() -> None:
    both = dropped([(2, 3), (5, 1)])
    assert (both[:3] == dropped([(2, 3)])).all()
    assert (both[3:] == dropped([(5, 1)])).all()
    rows = [both[0], both[1], both[3], dropped([(2, 1)], step=2)[0], dropped([(2, 1)], seed=1)[0]]
    for number, row in enumerate(rows):
        assert set(row.tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
        assert abs(float(row.mean()) - 1) < 0.08
        for other in rows[number + 1 :]:
            assert 0.2 < float((row != other).float().mean()) < 0.55  # 0.375 for independent masks


def test_a_layer_whose_first_dimension_is_not_the_documents_is_refused() -> None:
    streams = DropoutStreams(model := nn.Sequential(nn.Dropout(0.5)), CPU, seed=0)
    streams.begin_step(1)
    streams.assign_shards([(0, 3)])
    with pytest.raises(AssertionError, match="first dimension"):
        model(torch.ones(4, 3))


def test_nothing_is_dropped_when_documents_are_scored() -> None:
    streams = DropoutStreams(model := nn.Sequential(nn.Dropout(0.5)), CPU, seed=0)
    streams.assign_shards([(0, 1)])
    model.eval()
    assert (model(torch.ones(4, 3)) == 1).all()
