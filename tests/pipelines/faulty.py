"""Ranks that misbehave: sent to them by value, for they do not have the tests."""

import os
import signal
import time
from typing import Any

from models.training.figures import TrainingFigures
from models.training.task import Task


def fit(task: Task, fault: str, rank: int, step: int) -> TrainingFigures:
    """`rank.fit`, but rank number `rank` meets with `fault` before it takes step number `step` of this launch."""
    from models.training import entrypoint, loop

    train_step, taken = loop.train_step, [0]

    def train_faultily(*values: Any) -> float:
        taken[0] += 1
        if taken[0] == step and int(os.environ["RANK"]) == rank:
            meet(fault, values[1].model)
        if fault == "slow" and int(os.environ["RANK"]) == rank:
            time.sleep(0.05)
        return train_step(*values)

    loop.train_step = train_faultily
    return entrypoint.fit(task)


def meet(fault: str, model: Any) -> None:
    """What happens to the rank."""
    if fault in FAULTS:
        FAULTS[fault](model)


def fail(model: Any) -> None:
    raise OSError("the disk is gone")


def complain(model: Any) -> None:
    raise ValueError("train.nothing is wrong")


def change(model: Any) -> None:
    """As a broken machine might."""
    next(model.parameters()).data[0] += 1


def chatter(model: Any) -> None:
    os.write(1, b"\xff\xfe not UTF-8 \xc3\n")
    for number in range(100_000):
        print("line", number)


FAULTS = {
    "raise": fail,
    "mistake": complain,
    "change": change,
    "noise": chatter,
    "hang": lambda model: time.sleep(3600),
    "stop": lambda model: os.kill(os.getpid(), signal.SIGSTOP),  # all of its threads
}
