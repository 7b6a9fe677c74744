"""How well a model does on documents that are held back: exact counts, shared among the ranks."""

import math

import torch
from torch import Tensor, nn

from models.dataset.loader import Part, scored
from models.dataset.ragged import Ints
from models.training import metrics
from models.training.losses import loss
from models.training.run_context import Work
from models.training.task import Options


def evaluate(work: Work, model: nn.Module, rows: Ints) -> dict[str, float] | None:
    """Metrics on the documents `rows`: the loss; of labels accuracy and F1, of a target its RMSE.

    The loss is without label smoothing and class weights. None without rows.
    """
    if not len(rows):
        return None
    options, classes, device = Options(loss=work.task.train.loss), len(work.task.labels), work.group.device
    sizes = {"cross_entropy": classes * classes, "binary": 3 * classes + 1, "mse": 0}
    counts = torch.zeros(sizes[options.loss], dtype=torch.int64, device=device)
    total = torch.zeros(2, dtype=torch.float64, device=device)  # this rank's loss and documents
    model.eval()
    with torch.inference_mode():
        for part in scored(work.feed, rows, work.place):
            there = part.to(device)
            outputs = model(there.inputs)
            counts += counted(options.loss, outputs, there)
            total += torch.tensor([loss(options, outputs, there).item(), len(part.labels)], device=device)
            work.witness.alive()
    model.train()
    with work.witness.waiting():
        work.group.sum(total)
        work.group.sum(counts)
    mean, figures = float(total[0] / total[1]), counts.cpu().numpy()
    if options.loss == "mse":
        return {"loss": mean, "rmse": math.sqrt(mean) * work.scale.std}
    if options.loss == "binary":
        hits, predicted, true = figures[:-1].reshape(3, classes)
        found = metrics.multi_label(hits, predicted, true, exact=int(figures[-1]), documents=int(total[1]))
        return {"loss": mean} | {name: found[name] for name in ("accuracy", "micro_f1", "macro_f1")}
    confusion = figures.reshape(classes, classes)
    return {"loss": mean, "accuracy": metrics.accuracy(confusion), "macro_f1": metrics.macro_f1(confusion)}


def counted(kind: str, outputs: Tensor, part: Part) -> Tensor:
    """What can be summed of B documents' `outputs` (B, C): a confusion matrix's counts (C · C,); of several labels
    what `metrics.multi_label` wants (3 · C + 1,); nothing of a target.
    """
    if kind == "cross_entropy":
        classes = outputs.shape[1]
        return torch.bincount(part.labels * classes + outputs.argmax(1), minlength=classes * classes)
    if kind == "binary":
        given = outputs > 0
        exact = (given == part.marks).all(1).sum()
        return torch.cat([(given & part.marks).sum(0), given.sum(0), part.marks.sum(0), exact[None]])
    return torch.zeros(0, dtype=torch.int64, device=outputs.device)
