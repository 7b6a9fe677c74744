"""Dropout with a random stream for each virtual shard, so that results do not depend on the number of ranks.

All shards of a rank go through the model together, and yet each draws the numbers that it would draw alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.dataset.shuffle import derive_seed


class DropoutStreams:
    """Replaces the random numbers of a model's `nn.Dropout` layers by those of the shards' streams.

    A stream is seeded anew in each step, from the seed, the step and the shard's number: there is no random state to
    save, to send or to keep in order.
    """

    def __init__(self, model: nn.Module, device: torch.device, *, seed: int) -> None:
        """Replace the layers' forward passes; from now on their inputs' first dimension must be the documents."""
        self.device, self.seed, self.step = device, seed, 0
        self.generators: dict[int, torch.Generator] = {}
        self.shards: Sequence[tuple[int, int]] = ()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.forward = _ShardedDropout(self, module)  # type: ignore[method-assign,assignment]

    def begin_step(self, step: int) -> None:
        """Start every stream anew, for step number `step` of the training."""
        self.step, self.generators = step, {}

    def assign_shards(self, shards: Sequence[tuple[int, int]]) -> None:
        """Say which documents the next forward pass has: (shard, number of documents), one shard after the other."""
        self.shards = shards
        # Any other random numbers of a model use a seed of the first shard: repeatable, but different for other numbers
        # of ranks.
        torch.manual_seed(derive_seed(self.seed, self.step, shards[0][0]))

    def draw_mask(self, values: Tensor, keep_probability: float) -> Tensor:
        """A mask of the shape of `values`: 1 / `keep_probability` with that probability, else 0."""
        assert sum(count for _, count in self.shards) == len(values), "dropout's first dimension is not the documents'"
        mask, start = torch.empty_like(values), 0
        for shard, count in self.shards:
            mask[start : start + count].bernoulli_(keep_probability, generator=self._generator(shard))
            start += count
        return mask.div_(keep_probability)

    def _generator(self, shard: int) -> torch.Generator:
        if shard not in self.generators:
            seed = derive_seed(self.seed, self.step, shard)
            self.generators[shard] = torch.Generator(self.device).manual_seed(seed)
        return self.generators[shard]


class _ShardedDropout:
    """The forward pass of one dropout layer."""

    def __init__(self, streams: DropoutStreams, module: nn.Dropout) -> None:
        self.streams, self.module = streams, module

    def __call__(self, values: Tensor) -> Tensor:
        if not self.module.training or not self.module.p:
            return values
        return values * self.streams.draw_mask(values.detach(), 1 - self.module.p)
