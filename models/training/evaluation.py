"""Evaluates a model on the validation documents. The ranks share the work, and add up exact counts."""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.dataset.loader import evaluation_batches
from models.dataset.micro_batches import MicroBatch
from models.dataset.ragged import Ints
from models.training.losses import summed_loss
from models.training.metrics import MultiLabelMetrics, accuracy, macro_f1
from models.training.run_context import RunContext
from models.training.task import Options


def evaluate(context: RunContext, model: nn.Module, rows: Ints) -> dict[str, float] | None:
    """Metrics on the documents `rows` of the index, equal on all ranks; None if there are no rows.

    Returns:
        `loss`, the mean without label smoothing and class weights; and by the kind of the task: for "label"
        `accuracy` and `macro_f1`; for "labels" `accuracy`, `micro_f1` and `macro_f1`; for "target" `rmse`, in the unit
        of the targets.
    """
    if not len(rows):
        return None
    options, classes, device = Options(loss=context.task.train.loss), len(context.task.labels), context.group.device
    kind, sizes = context.task.kind, {"label": classes * classes, "labels": 3 * classes + 1, "target": 0}
    counts = torch.zeros(sizes[kind], dtype=torch.int64, device=device)
    totals = torch.zeros(2, dtype=torch.float64, device=device)  # the sum of this rank's losses, and its documents
    model.eval()
    with torch.inference_mode():
        for micro_batch in evaluation_batches(context.cache, rows, context.assignment):
            batch = micro_batch.to(device)
            outputs = model(batch.inputs)
            counts += count_hits(kind, outputs, batch)
            loss = summed_loss(options, outputs, batch).item()
            totals += torch.tensor([loss, len(batch.labels)], device=device)
            context.status.mark_progress()
    model.train()
    with context.status.waiting():
        context.group.sum(totals)
        context.group.sum(counts)
    return {"loss": float(totals[0] / totals[1])} | _scores(context, totals, counts.cpu().numpy())


def _scores(context: RunContext, totals: Tensor, counts: NDArray[np.int64]) -> dict[str, float]:
    """The metrics besides the loss: `totals` are the sum of the losses and the documents, `counts` of `count_hits`."""
    kind, classes = context.task.kind, len(context.task.labels)
    if kind == "target":
        return {"rmse": math.sqrt(float(totals[0] / totals[1])) * context.scale.std}
    if kind == "labels":
        hits, predicted, true = counts[:-1].reshape(3, classes)
        documents = int(totals[1])
        scores = MultiLabelMetrics.of_counts(hits, predicted, true, exact=int(counts[-1]), documents=documents)
        return {"accuracy": scores.accuracy, "micro_f1": scores.micro_f1, "macro_f1": scores.macro_f1}
    confusion = counts.reshape(classes, classes)
    return {"accuracy": accuracy(confusion), "macro_f1": macro_f1(confusion)}


def count_hits(kind: str, outputs: Tensor, batch: MicroBatch) -> Tensor:
    """Counts of B documents with the model's `outputs` (B, C), which can be added up over micro-batches and ranks.

    For "label" a flattened confusion matrix, (C · C,). For "labels" the arguments of
    `MultiLabelMetrics.of_counts` one behind the other: hits (C,), predicted (C,), true (C,), exact (1,). For "target"
    nothing, (0,).
    """
    if kind == "label":
        classes = outputs.shape[1]
        return torch.bincount(batch.labels * classes + outputs.argmax(1), minlength=classes * classes)
    if kind == "labels":
        predicted = outputs > 0
        exact = (predicted == batch.multi_hot).all(1).sum()
        hits = (predicted & batch.multi_hot).sum(0)
        return torch.cat([hits, predicted.sum(0), batch.multi_hot.sum(0), exact[None]])
    return torch.zeros(0, dtype=torch.int64, device=outputs.device)
