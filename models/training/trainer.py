"""A model with everything that trains it, and one training step."""

import math
from dataclasses import dataclass

import torch
from torch import nn, optim
from torch.nn.utils import clip_grad_norm_

from models.dataset.micro_batches import Batch
from models.ranks.process_group import ProcessGroup
from models.training.dropout_streams import DropoutStreams
from models.training.gradients import GradientReducer
from models.training.losses import summed_loss
from models.training.optimizers import build_optimizer, soft_threshold
from models.training.run_context import RunContext
from models.training.task import Options


@dataclass(frozen=True)
class Trainer:
    """A model, its optimizer, the sum of its gradients over all shards, and the random streams of its dropout."""

    model: nn.Module
    optimizer: optim.Optimizer
    gradients: GradientReducer
    dropout: DropoutStreams

    @classmethod
    def of(cls, model: nn.Module, options: Options, group: ProcessGroup) -> "Trainer":
        """A trainer of `model`, which moves to the group's device."""
        model.to(group.device)
        dropout = DropoutStreams(model, group.device, seed=options.seed)
        gradients = GradientReducer(model, group)
        return cls(model, build_optimizer(options, model.parameters()), gradients, dropout)


def train_step(context: RunContext, trainer: Trainer, batch: Batch, step: int, rate: float) -> float:
    """Take one step on a global batch, of which `batch` is this rank's part.

    Args:
        context: of the run.
        trainer: whose model takes the step.
        batch: this rank's micro-batches; there may be none.
        step: the number of the step in the training, from 0.
        rate: the learning rate, already set in the optimizer; the soft threshold depends on it.

    Returns:
        The sum of the losses of all documents, over all ranks.

    Raises:
        ValueError: The sum is not finite.
    """
    options, model, device = context.task.train, trainer.model, context.group.device
    trainer.gradients.clear()
    trainer.dropout.begin_step(step)
    own_loss = torch.zeros((), device=device)
    for micro_batch in batch.micro_batches:
        trainer.dropout.assign_shards(micro_batch.shards)
        on_device = micro_batch.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=options.autocast):
            outputs = model(on_device.inputs)
        loss = summed_loss(options, outputs, on_device, context.class_weight)
        (loss / batch.weight).backward()  # type: ignore[no-untyped-call]
        trainer.gradients.collect()
        own_loss += loss.detach()
    with context.status.waiting():
        total = trainer.gradients.reduce(own_loss)
    if not math.isfinite(total):
        raise ValueError(f"the loss is {total} at step {step + 1}: try a lower train.lr")
    if options.clip:
        clip_grad_norm_(model.parameters(), options.clip)
    trainer.optimizer.step()
    if options.l1:
        soft_threshold(model.parameters(), rate * options.l1)
    return total
