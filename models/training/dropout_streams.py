"""Random numbers of dropout: each virtual shard draws its own, on whatever rank, beside whichever others.

So all shards of a rank go through the model at once, and the numbers are those that each would draw alone.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.dataset.shuffle import seed


class Streams:
    """Takes the place of chance in a model's `nn.Dropout` layers.

    Seeded anew in each step, from seed, step and shard: no state is to be saved, sent or kept in order.
    """

    def __init__(self, model: nn.Module, device: torch.device, *, seed: int) -> None:
        """From now on the model's layers draw from here; each call's first dimension must be the documents'."""
        self.device, self.seed, self.step = device, seed, 0
        self.generators: dict[int, torch.Generator] = {}
        self.shards: Sequence[tuple[int, int]] = ()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.forward = _Dropout(self, module)  # type: ignore[method-assign,assignment]

    def begin(self, step: int) -> None:
        """Every stream starts anew."""
        self.step, self.generators = step, {}

    def deal(self, shards: Sequence[tuple[int, int]]) -> None:
        """The documents of the next pass: so many of each shard, one shard after the other."""
        self.shards = shards
        # What else in a model draws numbers follows from the first shard: repeatable, but not for any number of ranks.
        torch.manual_seed(seed(self.seed, self.step, shards[0][0]))

    def kept(self, values: Tensor, share: float) -> Tensor:
        """1 / `share` in about that share of places, 0 in the others, in the shape of `values`."""
        assert sum(count for _, count in self.shards) == len(values), "dropout's first dimension is not the documents'"
        scales, start = torch.empty_like(values), 0
        for shard, count in self.shards:
            scales[start : start + count].bernoulli_(share, generator=self._generator(shard))
            start += count
        return scales.div_(share)

    def _generator(self, shard: int) -> torch.Generator:
        if shard not in self.generators:
            self.generators[shard] = torch.Generator(self.device).manual_seed(seed(self.seed, self.step, shard))
        return self.generators[shard]


class _Dropout:
    """One layer's forward pass."""

    def __init__(self, streams: Streams, module: nn.Dropout) -> None:
        self.streams, self.module = streams, module

    def __call__(self, values: Tensor) -> Tensor:
        if not self.module.training or not self.module.p:
            return values
        return values * self.streams.kept(values.detach(), 1 - self.module.p)
