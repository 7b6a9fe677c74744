"""This process among the ranks that torchrun started: RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn


@dataclass(frozen=True)
class Group:
    """Rank `rank` of `size`. One rank alone has no process group: nothing to set up or to copy."""

    rank: int
    size: int

    def wrap(self, model: nn.Module) -> nn.Module:
        """A module over the same weights whose gradients are averaged over the ranks."""
        if self.size == 1:
            return model
        return nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)

    def sum(self, values: Tensor) -> Tensor:
        """The sum of `values` over the ranks, the same on each."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def longest(self, seconds: float) -> float:
        """The largest of the ranks' `seconds`."""
        value = torch.tensor(seconds, dtype=torch.float64)
        if self.size > 1:
            distributed.all_reduce(value, op=distributed.ReduceOp.MAX)
        return value.item()


def rank() -> int:
    """This process's rank, 0 where nothing launched it."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def join(*, timeout_s: float) -> Iterator[Group]:
    """The group for as long as the block lasts; a rank that waits longer for another fails."""
    group = Group(rank(), int(os.environ.get("WORLD_SIZE", "1")))
    if group.size == 1:
        yield group
        return
    distributed.init_process_group("gloo", timeout=timedelta(seconds=timeout_s))
    yield group
    # Not after a failure: the other ranks would find their connections closed, and could record that consequence
    # before this rank has recorded the cause.
    distributed.destroy_process_group()
