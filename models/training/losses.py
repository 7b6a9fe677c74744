"""Losses of a part of a batch, summed over its documents."""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from models.dataset.loader import Part
from models.training.task import Options


def loss(options: Options, outputs: Tensor, part: Part, class_weight: Tensor | None = None) -> Tensor:
    """The sum over B documents; `outputs` (B, C), or (B, 1) for "mse".

    cross_entropy: -log softmax, against targets of which `label_smoothing` is spread evenly over the C labels (Szegedy
    et al., 2016); a document counts with its label's `class_weight` (C,). binary: the sum over labels of -log of the
    sigmoid, each of the document's labels being one to find, with targets drawn towards 1/2 likewise. mse: the squared
    difference.
    """
    outputs = outputs.float()
    if options.loss == "mse":
        return mse_loss(outputs[:, 0], part.targets, reduction="sum")
    smooth = options.label_smoothing
    if options.loss == "binary":
        target = part.marks.to(outputs.dtype) * (1 - smooth) + smooth / 2
        return binary_cross_entropy_with_logits(outputs, target, reduction="sum")
    each = cross_entropy(outputs, part.labels, label_smoothing=smooth, reduction="none")
    return each.sum() if class_weight is None else (each * class_weight[part.labels]).sum()


def balanced(labels: Tensor, classes: int) -> Tensor:
    """Class weights (C,) with which all classes weigh the same: documents / (classes · documents of the class).

    scikit-learn's `class_weight="balanced"` (King and Zeng, 2001); 0 for a class without a document.
    """
    sizes = torch.bincount(labels, minlength=classes).double()
    weights = len(labels) / (classes * sizes)
    return torch.where(sizes > 0, weights, 0.0).float()
