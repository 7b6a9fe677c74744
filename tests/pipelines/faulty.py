"""Ranks that misbehave: sent to them by value, for they do not have the tests."""

import os
import time
from typing import Any

from models.training.task import Task


def fit(task: Task, fault: str, rank: int, step: int) -> dict[str, Any]:
    """`rank.fit`, but rank number `rank` meets with `fault` before it takes step number `step` of this launch."""
    from models.training import loop
    from models.training import rank as ranks

    learn, taken = loop.learn, [0]

    def learn_faultily(*values: Any) -> float:
        taken[0] += 1
        if taken[0] == step and int(os.environ["RANK"]) == rank:
            meet(fault)
        if fault == "slow" and int(os.environ["RANK"]) == rank:
            time.sleep(0.05)
        return learn(*values)

    loop.learn = learn_faultily
    result = ranks.fit(task)
    return result | {"weights": "wrong"} if fault == "lie" and int(os.environ["RANK"]) == rank else result


def meet(fault: str) -> None:
    """What happens to the rank."""
    if fault == "raise":
        raise OSError("the disk is gone")
    if fault == "mistake":
        raise ValueError("train.nothing is wrong")
    if fault == "hang":
        time.sleep(3600)
    if fault == "stop":  # all of its threads
        os.kill(os.getpid(), 19)
    if fault == "bytes":
        os.write(1, b"\xff\xfe not UTF-8 \xc3\n")
    if fault == "lines":
        for number in range(1_000_000):
            print("line", number)
    if fault == "change":
        import torch

        torch.manual_seed(7)  # as a broken machine might: other numbers from here on
