"""A checkpoint's values keep the form that other versions wrote."""

import json
import math

from models.training.optimizers import Plateau
from models.training.state import REFIT, Outcome, TrainingState

# As version 0.1.0 wrote it.
VALUES = (
    '{"phase": 1, "epoch": 2, "step": 3, "steps": 17, "total": [12.5, 24.0], '
    '"best": {"epochs": 1, "loss": 0.5, "validation": null}, '
    '"found": {"epochs": 4, "loss": 0.25, "validation": {"loss": 0.75, "accuracy": 0.5}}, '
    '"plateau": {"factor": 0.5, "best": Infinity, "idle": 1}}'
)


def test_a_state_is_written_as_it_was_read() -> None:
    state = TrainingState.from_dict(json.loads(VALUES))
    assert state == TrainingState(
        phase=REFIT,
        epoch=2,
        step=3,
        steps=17,
        loss_sum=12.5,
        weight_sum=24.0,
        best=Outcome(1, 0.5),
        searched=Outcome(4, 0.25, {"loss": 0.75, "accuracy": 0.5}),
        plateau=Plateau(0.5, math.inf, 1),
    )
    assert json.dumps(state.to_dict()) == VALUES


def test_the_lower_validation_loss_wins_and_without_one_the_later_outcome() -> None:
    low, high = Outcome(3, 0.9, {"loss": 0.1}), Outcome(4, 0.1, {"loss": 0.2})
    assert low.beats(high)
    assert not high.beats(low)
    assert Outcome(5, 0.5).beats(low)
    assert high.beats(Outcome())
