"""Optimizers, learning-rate schedules and the L1 penalty."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn, optim

from models.training.task import Options

# The one-cycle schedule's factors at the start and at the end, and the share of the steps in which the rate rises.
ONE_CYCLE_START, ONE_CYCLE_END, ONE_CYCLE_RISE = 1 / 25.0, 1 / (25.0 * 1e4), 0.3


def adamw(options: Options, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019)."""
    return optim.AdamW(parameters, lr=options.lr, weight_decay=options.weight_decay, fused=True)


def adam(options: Options, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """Adam (Kingma and Ba, 2015)."""
    return optim.Adam(parameters, lr=options.lr, weight_decay=options.weight_decay, fused=True)


def sgd(options: Options, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """Stochastic gradient descent with momentum."""
    decay = options.weight_decay
    return optim.SGD(parameters, lr=options.lr, momentum=options.momentum, weight_decay=decay, fused=True)


# By the names of `train.optimizer`. All are fused: torch's default implementations make several passes over the input
# layer's table, which is nearly all of the weights, and took ten times as long on a CPU.
OPTIMIZERS = {"adamw": adamw, "adam": adam, "sgd": sgd}


def build_optimizer(options: Options, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """The optimizer `options.optimizer`."""
    return OPTIMIZERS[options.optimizer](options, parameters)


def learning_rate_factor(options: Options, step: int, *, steps: int) -> float:
    """The share of `options.lr` that is the learning rate of `step` (from 0) of `steps`.

    It rises linearly during the share `warmup` of the steps. Then, by `schedule`:

    - "constant" and "plateau": it stays (but see `Plateau`);
    - "linear": it falls to 0 along a line;
    - "cosine": it falls to 0 along half a cosine (Loshchilov and Hutter, 2017);
    - "onecycle": it rises from 1/25 to 1 along half a cosine for 30 % of the steps, and falls to 1/250,000 along
      another (Smith and Topin, 2018).
    """
    warmup_steps = round(steps * options.warmup)
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    if options.schedule in ("constant", "plateau"):
        return 1.0
    if options.schedule == "linear":
        return 1 - progress
    if options.schedule == "cosine":
        return _cosine(1.0, 0.0, progress)
    if progress < ONE_CYCLE_RISE:
        return _cosine(ONE_CYCLE_START, 1.0, progress / ONE_CYCLE_RISE)
    return _cosine(1.0, ONE_CYCLE_END, (progress - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE))


def _cosine(start: float, end: float, progress: float) -> float:
    """From `start` to `end` along half a cosine."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass
class Plateau:
    """The "plateau" schedule: lowers the learning rate when the validation loss has stopped falling.

    Attributes:
        factor: what the rate is multiplied by.
        best: the lowest validation loss so far.
        idle: epochs since the lowest loss, or since the rate was last lowered.
    """

    factor: float = 1.0
    best: float = math.inf
    idle: int = 0

    def observe(self, options: Options, loss: float) -> None:
        """Take an epoch's validation loss into account."""
        if loss < self.best:
            self.best, self.idle = loss, 0
            return
        self.idle += 1
        if options.schedule == "plateau" and self.idle >= options.plateau_patience:
            self.factor, self.idle = self.factor * options.plateau_factor, 0


def set_learning_rate(optimizer: optim.Optimizer, rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def soft_threshold(parameters: Iterable[nn.Parameter], threshold: float) -> None:
    """Move every weight towards 0 by `threshold`, and not beyond: w ← sign(w) · max(|w| - threshold, 0).

    The proximal step of an L1 penalty (ISTA; Daubechies, Defrise and De Mol, 2004).
    """
    with torch.no_grad():
        for parameter in parameters:
            parameter.copy_(parameter.sign() * (parameter.abs() - threshold).clamp_(min=0))
