"""Optimizers and learning-rate schedules, by name."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn, optim

from models.training.task import Options

DIV, FINAL_DIV, RISE = 25.0, 1e4, 0.3  # of the one-cycle schedule


def optimizer(options: Options, parameters: Iterable[nn.Parameter]) -> optim.Optimizer:
    """AdamW (Loshchilov and Hutter, 2019), Adam (Kingma and Ba, 2015) or SGD with momentum.

    All fused: the default implementation makes several passes over the input layer's table, which is nearly
    all of the weights, and took ten times as long on a CPU.
    """
    lr, decay = options.lr, options.weight_decay
    if options.optimizer == "sgd":
        return optim.SGD(parameters, lr=lr, momentum=options.momentum, weight_decay=decay, fused=True)
    kind = optim.AdamW if options.optimizer == "adamw" else optim.Adam
    return kind(parameters, lr=lr, weight_decay=decay, fused=True)


def factor(options: Options, step: int, *, steps: int) -> float:
    """What the learning rate is multiplied by at `step` (from 0) of `steps`.

    It rises linearly over the share `warmup` of the steps; then it stays ("constant", and "plateau", see `Plateau`),
    falls to 0 along a line ("linear") or along half a cosine ("cosine"; Loshchilov and Hutter, 2017), or rises from
    1/25 to 1 along half a cosine for 30 % of the steps and falls to 1/250,000 along another ("onecycle"; Smith and
    Topin, 2018).
    """
    rising = round(steps * options.warmup)
    if step < rising:
        return (step + 1) / (rising + 1)
    progress = (step - rising) / max(1, steps - rising)
    if options.schedule in ("constant", "plateau"):
        return 1.0
    if options.schedule == "linear":
        return 1 - progress
    if options.schedule == "cosine":
        return _cosine(1.0, 0.0, progress)
    if progress < RISE:
        return _cosine(1 / DIV, 1.0, progress / RISE)
    return _cosine(1.0, 1 / (DIV * FINAL_DIV), (progress - RISE) / (1 - RISE))


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * progress))


@dataclass
class Plateau:
    """The "plateau" schedule: lower the rate when the validation loss has not fallen for some epochs."""

    factor: float = 1.0
    best: float = math.inf
    idle: int = 0

    def see(self, options: Options, loss: float) -> None:
        """Take note of an epoch's validation loss."""
        if loss < self.best:
            self.best, self.idle = loss, 0
            return
        self.idle += 1
        if options.schedule == "plateau" and self.idle >= options.plateau_patience:
            self.factor, self.idle = self.factor * options.plateau_factor, 0


def set_rate(descent: optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step."""
    for group in descent.param_groups:
        group["lr"] = rate


def shrink(parameters: Iterable[nn.Parameter], threshold: float) -> None:
    """Soft-threshold the weights: the proximal step of an L1 penalty (ISTA; Daubechies et al., 2004)."""
    with torch.no_grad():
        for parameter in parameters:
            parameter.copy_(parameter.sign() * (parameter.abs() - threshold).clamp_(min=0))
