"""Optimizers and learning-rate schedules, by name."""

import math
from collections.abc import Iterable

from torch import nn, optim

from models.training.task import Options


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

    It rises linearly over the share `warmup` of the steps; then it stays ("constant"), falls to 0 along
    a line ("linear") or along half a cosine ("cosine"; Loshchilov and Hutter, 2017).
    """
    rising = round(steps * options.warmup)
    if step < rising:
        return (step + 1) / (rising + 1)
    progress = (step - rising) / max(1, steps - rising)
    if options.schedule == "constant":
        return 1.0
    return 1 - progress if options.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * progress))


def schedule(options: Options, descent: optim.Optimizer, *, steps: int) -> optim.lr_scheduler.LambdaLR:
    """Sets the learning rate of `descent` for each of `steps` steps."""
    return optim.lr_scheduler.LambdaLR(descent, lambda step: factor(options, step, steps=steps))
