"""A model and what teaches it."""

from dataclasses import dataclass

from torch import nn, optim

from models.ranks.process_group import Group
from models.training.dropout_streams import Streams
from models.training.gradients import Gradients
from models.training.optimizers import optimizer
from models.training.task import Options


@dataclass(frozen=True)
class Learner:
    """`model`; the `gradients` of all shards; the `streams` that its dropout draws from; `descent`, its optimizer."""

    model: nn.Module
    gradients: Gradients
    streams: Streams
    descent: optim.Optimizer

    @classmethod
    def of(cls, model: nn.Module, options: Options, group: Group) -> "Learner":
        """For a model, which moves to the group's device."""
        model.to(group.device)
        streams = Streams(model, group.device, seed=options.seed)
        return cls(model, Gradients(model, group), streams, optimizer(options, model.parameters()))
