"""A shard's dropout is its own: the same alone, beside other shards, and on any rank."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.bundles import architecture
from models.dataset.loader import Place, Plan, batches
from models.ranks.process_group import Group
from models.training.dropout_streams import Streams
from models.training.loop import learn
from models.training.run_context import Work
from models.training.trainer import Learner
from pipelines import config
from tests.models.cases import LABELS, MODELS, TERMS, corpus, make_task, work_of

CPU = torch.device("cpu")


def gradients(work: Work, place: Place, *, pieces: int) -> list[Tensor]:
    """Of the first step of a rank at some place, whose group is that rank alone."""
    torch.manual_seed(3)
    model = architecture.build(work.task.model, work.task.options, terms=TERMS, classes=len(LABELS))
    learner = Learner.of(model, work.task.train, Group(0, 1))
    plan = Plan(np.arange(len(work.held)), work.task.train.batch, 1, 0, pieces)
    _, _, batch = next(batches(work.feed, plan, place))
    learn(work, learner, batch, 5, 0.0)
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_ranks_together_have_the_gradients_of_one(tmp_path: Path, name: str, pieces: int) -> None:
    options = dataclasses.asdict(config.load([f"model={name}"]).model)
    rows = [row | {"sequence": row["sequence"][: 1 + place % 9]} for place, row in enumerate(corpus(18))]
    work = work_of(make_task(tmp_path, rows, model=name, options=options, train={"batch": 13, "shards": 4}))
    whole = gradients(work, Place(0, 1, 4), pieces=pieces)
    assert all(gradient.abs().max() > 0 for gradient in whole)
    for ranks in (2, 3, 4):
        parts = [gradients(work, Place(rank, ranks, 4), pieces=pieces) for rank in range(ranks)]
        for expected, *found in zip(whole, *parts, strict=True):
            torch.testing.assert_close(sum(found), expected, rtol=1e-4, atol=1e-7)
    if name not in ("linear", "logistic"):
        other = gradients(work, Place(0, 1, 1), pieces=pieces)
        assert any((a - b).abs().max() > 1e-4 for a, b in zip(whole, other, strict=True)), "there is no dropout"


def dropped(shards: Any, *, step: int = 1, seed: int = 0, share: float = 0.25, width: int = 2000) -> Tensor:
    model = nn.Sequential(nn.Dropout(share))
    streams = Streams(model, CPU, seed=seed)
    streams.begin(step)
    streams.deal(shards)
    result: Tensor = model(torch.ones(sum(count for _, count in shards), width))
    return result


def test_numbers_follow_from_seed_step_and_shard() -> None:
    both = dropped([(2, 3), (5, 1)])
    assert (both[:3] == dropped([(2, 3)])).all()
    assert (both[3:] == dropped([(5, 1)])).all()
    rows = [both[0], both[1], both[3], dropped([(2, 1)], step=2)[0], dropped([(2, 1)], seed=1)[0]]
    for place, row in enumerate(rows):
        assert set(row.tolist()) == {0.0, torch.tensor(1 / 0.75).item()}
        assert abs(float(row.mean()) - 1) < 0.08
        for other in rows[place + 1 :]:
            assert 0.2 < float((row != other).float().mean()) < 0.55  # 0.375 where they have nothing in common


def test_a_layer_whose_first_dimension_is_another_is_found_out() -> None:
    streams = Streams(model := nn.Sequential(nn.Dropout(0.5)), CPU, seed=0)
    streams.begin(1)
    streams.deal([(0, 3)])
    with pytest.raises(AssertionError, match="first dimension"):
        model(torch.ones(4, 3))


def test_nothing_is_dropped_when_documents_are_scored() -> None:
    streams = Streams(model := nn.Sequential(nn.Dropout(0.5)), CPU, seed=0)
    streams.deal([(0, 1)])
    model.eval()
    assert (model(torch.ones(4, 3)) == 1).all()
