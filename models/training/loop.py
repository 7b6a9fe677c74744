"""The training loop: one for all models, the same in one process and in many."""

import copy
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from models.training import architecture, distributed, files, metrics, proof, vocabulary, weights
from models.training.batches import cut, shuffled, steps
from models.training.distributed import Group
from models.training.documents import Documents, read, validation
from models.training.optimization import optimizer, schedule
from models.training.progress import Reporter
from models.training.task import Options, Task

__all__ = ["Options", "Task", "fit"]

EVALUATED = 1024  # documents scored at once, over all ranks; bounds the layers' outputs


@dataclass
class Outcome:
    """A trained model, the epochs behind it, the mean loss of its last one, and validation metrics if any."""

    model: nn.Module
    epochs: int
    loss: float
    validation: dict[str, float] | None

    def beats(self, other: "Outcome") -> bool:
        """Whether its validation loss is lower; where none was measured, the later outcome beats the earlier.

        The loss, not the accuracy: on a few hundred documents the accuracy's best epoch is mostly chance.
        """
        if self.validation is None or other.validation is None:
            return True
        return self.validation["loss"] < other.validation["loss"]


def fit(task: Task) -> dict[str, Any]:
    """Train `task.model`, write its weights into `task.folder`; returns the same figures on every rank.

    `steps` are all of them, the refit's too; `epochs`, `loss` and `documents` belong to the weights kept.

    Raises:
        ValueError: no labelled document, an impossible setting, a broken vocabulary.
    """
    started = time.monotonic()
    with proof.leave(task.folder) as witness, distributed.join(timeout_s=task.train.timeout_s) as group:
        if task.train.threads:
            torch.set_num_threads(task.train.threads)
        documents, held = prepare(task)
        rows, held_rows = np.flatnonzero(~held), np.flatnonzero(held)
        outcome = train(task, documents, rows, held_rows, epochs=task.train.epochs, group=group, witness=witness)
        scores = outcome.validation
        if task.train.refit and len(held_rows):
            rows = np.arange(len(held))
            none, epochs = held_rows[:0], outcome.epochs
            outcome = train(task, documents, rows, none, epochs=epochs, group=group, witness=witness)
        witness.weights = proof.digest(outcome.model)
        if group.rank == 0:
            weights.save(task.folder, outcome.model)
        return {
            "ranks": group.size,
            "steps": witness.step,
            "epochs": outcome.epochs,
            "loss": outcome.loss,
            "validation": scores,
            "documents": len(rows),
            "parameters": sum(parameter.numel() for parameter in outcome.model.parameters()),
            "seconds": group.longest(time.monotonic() - started),
        }


def prepare(task: Task) -> tuple[Documents, NDArray[np.bool_]]:
    """The documents to learn from, and which of them are for validation."""
    table = vocabulary.opened(files.read(f"{task.folder}/{vocabulary.FILE}"))
    weigher = vocabulary.weigher(table, documents=task.documents, options=task.tfidf)
    documents = read(task.files, weigher, task.labels, batch=task.batch)
    # The shares are of all documents; of what the test split leaves, validation's is larger.
    share = task.validation_share / (1 - task.test_share)
    held = validation(documents, share=share, salt=task.salt)
    if held.all():
        raise ValueError("the train split holds no labelled document")
    return documents, held


def train(
    task: Task,
    documents: Documents,
    rows: NDArray[np.int64],
    held: NDArray[np.int64],
    *,
    epochs: int,
    group: Group,
    witness: proof.Witness,
) -> Outcome:
    """Learn from `rows` for at most `epochs`; the weights that do best on the rows `held` are kept."""
    options, classes = task.train, len(task.labels)
    torch.manual_seed(options.seed)
    model = architecture.build(task.model, task.options, terms=documents.terms, classes=classes)
    torch.manual_seed(options.seed + group.rank)  # the ranks start with equal weights, but drop different units
    wrapped = group.wrap(model)
    descent = optimizer(options, model.parameters())
    rate = schedule(options, descent, steps=epochs * steps(len(rows), options.batch))
    reporter = Reporter(epochs, steps(len(rows), options.batch), enabled=task.progress and group.rank == 0)
    best, kept = Outcome(model, 0, math.nan, None), None
    for epoch in range(1, epochs + 1):
        model.train()
        total = torch.zeros(2, dtype=torch.float64)  # this rank's loss and documents
        order = shuffled(documents, rows, seed=options.seed, epoch=epoch)
        for batch in cut(documents, order, size=options.batch, rank=group.rank, ranks=group.size):
            descent.zero_grad()
            logits_BC = wrapped(batch.indices, batch.offsets, batch.weights)  # noqa: N806
            loss = cross_entropy(logits_BC, batch.labels, label_smoothing=options.label_smoothing, reduction="sum")
            # Averaged over the ranks, as DDP does it, this is the gradient of the global batch's mean loss.
            (loss * group.size / batch.documents).backward()  # type: ignore[no-untyped-call]
            if options.clip:
                clip_grad_norm_(model.parameters(), options.clip)
            descent.step()
            rate.step()
            witness.step += 1
            total += torch.tensor([loss.item(), len(batch.labels)])
            reporter.step(epoch, mean(total), documents=batch.documents)
        outcome = Outcome(
            model, epoch, mean(group.sum(total)), evaluate(model, documents, held, group, classes=classes)
        )
        if not math.isfinite(outcome.loss):
            raise ValueError(f"the loss is {outcome.loss} after epoch {epoch}: try a lower train.lr")
        reporter.end(epoch, outcome.loss, outcome.validation)
        if outcome.beats(best):
            best, kept = outcome, copy.deepcopy(model.state_dict()) if len(held) else None
        if options.patience and epoch - best.epochs >= options.patience:
            break
    if kept:
        model.load_state_dict(kept)
    return best


def mean(total: Tensor) -> float:
    """Loss a document, from [sum of losses, documents]; 0 as long as there is no document."""
    return float(total[0] / total[1].clamp(min=1))


def evaluate(
    model: nn.Module, documents: Documents, rows: NDArray[np.int64], group: Group, *, classes: int
) -> dict[str, float] | None:
    """Cross-entropy, accuracy and macro-F1 on `rows`, shared among the ranks; None without rows."""
    if not len(rows):
        return None
    model.eval()
    confusion = torch.zeros(classes * classes, dtype=torch.int64)
    total = torch.zeros(2, dtype=torch.float64)  # this rank's loss and documents
    with torch.inference_mode():
        for batch in cut(documents, rows, size=EVALUATED, rank=group.rank, ranks=group.size):
            logits_BC = model(batch.indices, batch.offsets, batch.weights)  # noqa: N806
            pairs = batch.labels * classes + logits_BC.argmax(1)
            confusion += torch.bincount(pairs, minlength=classes * classes)
            loss = cross_entropy(logits_BC, batch.labels, reduction="sum")
            total += torch.tensor([loss.item(), len(batch.labels)])
    counts = group.sum(confusion).reshape(classes, classes).numpy()
    return {
        "loss": mean(group.sum(total)),
        "accuracy": metrics.accuracy(counts),
        "macro_f1": metrics.macro_f1(counts),
    }
