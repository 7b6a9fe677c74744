"""The scale of targets: a model learns them with mean 0 and variance 1, and bundles turn its outputs back."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scale:
    """Subtracted and divided by; of targets that are all equal, `std` is 1."""

    mean: float = 0.0
    std: float = 1.0

    @classmethod
    def of(cls, targets: NDArray[np.float64]) -> "Scale":
        """That of some targets.

        Raises:
            ValueError: they are too large for their variance to be a number.
        """
        with np.errstate(over="ignore"):
            mean, std = float(targets.mean()), float(targets.std())
        if not math.isfinite(mean + std):
            raise ValueError("the targets are too large: their variance is not a number")
        return cls(mean, std or 1.0)

    def standardised(self, targets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Targets as the model learns them."""
        return (targets - self.mean) / self.std

    def restored(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """What the model says, in the targets' own unit."""
        return outputs.astype(np.float64) * self.std + self.mean
