"""The losses of a micro-batch, and balanced class weights."""

import torch
from torch import Tensor
from torch.nn import functional

from models.dataset.micro_batches import MicroBatch
from models.training.task import Options


def cross_entropy(options: Options, outputs: Tensor, batch: MicroBatch, class_weight: Tensor | None) -> Tensor:
    """-log softmax; `label_smoothing` of the target is spread evenly over the C labels (Szegedy et al., 2016).

    With `class_weight` (C,) a document counts as much as its label's weight.
    """
    smoothing = options.label_smoothing
    losses = functional.cross_entropy(outputs, batch.labels, label_smoothing=smoothing, reduction="none")
    return losses.sum() if class_weight is None else (losses * class_weight[batch.labels]).sum()


def binary(options: Options, outputs: Tensor, batch: MicroBatch, class_weight: Tensor | None) -> Tensor:
    """For each label -log of the sigmoid, against 1 if the document has the label and 0 if not; summed over the labels.

    Both are drawn towards 1/2 by `label_smoothing`.
    """
    target = batch.multi_hot.to(outputs.dtype) * (1 - options.label_smoothing) + options.label_smoothing / 2
    return functional.binary_cross_entropy_with_logits(outputs, target, reduction="sum")


def mse(options: Options, outputs: Tensor, batch: MicroBatch, class_weight: Tensor | None) -> Tensor:
    """The squared difference from the target; `outputs` (B, 1)."""
    return functional.mse_loss(outputs[:, 0], batch.targets, reduction="sum")


# By the names of `train.loss`.
LOSSES = {"cross_entropy": cross_entropy, "binary": binary, "mse": mse}


def summed_loss(options: Options, outputs: Tensor, batch: MicroBatch, class_weight: Tensor | None = None) -> Tensor:
    """The loss `options.loss`, summed over B documents with the model's `outputs` (B, C)."""
    return LOSSES[options.loss](options, outputs.float(), batch, class_weight)


def balanced_class_weights(labels: Tensor, classes: int) -> Tensor:
    """Weights (C,) with which all classes count the same: documents / (classes · documents of the class).

    scikit-learn's `class_weight="balanced"` (King and Zeng, 2001); 0 for a class without documents. `labels` (D,) are
    the documents' classes.
    """
    sizes = torch.bincount(labels, minlength=classes).double()
    weights = len(labels) / (classes * sizes)
    return torch.where(sizes > 0, weights, 0.0).float()
