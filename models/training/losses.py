"""The losses of a micro-batch, and balanced class weights."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from models.dataset.micro_batches import MicroBatch
from models.training.task import Options


def summed_loss(options: Options, outputs: Tensor, batch: MicroBatch, class_weight: Tensor | None = None) -> Tensor:
    """The loss `options.loss`, summed over B documents with the model's `outputs` (B, C); (B, 1) for "mse".

    - "cross_entropy": -log softmax. `label_smoothing` of the target is spread evenly over the C labels (Szegedy et al.,
      2016). With `class_weight` (C,) a document counts as much as its label's weight.
    - "binary": for each label -log of the sigmoid, against 1 if the document has the label and 0 if not, both drawn
      towards 1/2 by `label_smoothing`; summed over the labels.
    - "mse": the squared difference from the target.
    """
    outputs = outputs.float()
    if options.loss == "mse":
        return mse_loss(outputs[:, 0], batch.targets, reduction="sum")
    smoothing = options.label_smoothing
    if options.loss == "binary":
        target = batch.multi_hot.to(outputs.dtype) * (1 - smoothing) + smoothing / 2
        return binary_cross_entropy_with_logits(outputs, target, reduction="sum")
    losses = cross_entropy(outputs, batch.labels, label_smoothing=smoothing, reduction="none")
    return losses.sum() if class_weight is None else (losses * class_weight[batch.labels]).sum()


def balanced_class_weights(labels: Tensor, classes: int) -> Tensor:
    """Weights (C,) with which all classes count the same: documents / (classes · documents of the class).

    scikit-learn's `class_weight="balanced"` (King and Zeng, 2001); 0 for a class without documents. `labels` (D,) are
    the documents' classes.
    """
    sizes = torch.bincount(labels, minlength=classes).double()
    weights = len(labels) / (classes * sizes)
    return torch.where(sizes > 0, weights, 0.0).float()
