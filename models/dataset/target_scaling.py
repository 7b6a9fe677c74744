"""Standardised targets: a model learns them with mean 0 and variance 1, and its outputs are scaled back."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TargetScale:
    """The mean and standard deviation of the training targets; `std` is 1 if all targets are equal."""

    mean: float = 0.0
    std: float = 1.0

    @classmethod
    def of(cls, targets: NDArray[np.float64]) -> "TargetScale":
        """The scale of some targets (D,).

        Raises:
            ValueError: The targets are so large that their variance is not finite.
        """
        with np.errstate(over="ignore"):
            mean, std = float(targets.mean()), float(targets.std())
        if not math.isfinite(mean + std):
            raise ValueError("the targets are too large: their variance is not a number")
        return cls(mean, std or 1.0)

    def standardise(self, targets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Targets as the model learns them: (t - mean) / std."""
        return (targets - self.mean) / self.std

    def restore(self, outputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """The model's outputs in the unit of the targets."""
        return outputs.astype(np.float64) * self.std + self.mean
