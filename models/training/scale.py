"""The scale of targets: a model learns them with mean 0 and variance 1, and bundles turn its outputs back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scale:
    """Subtracted and divided by; of targets that are all equal, `std` is 1."""

    mean: float = 0.0
    std: float = 1.0

    @classmethod
    def of(cls, targets: NDArray[np.float32]) -> "Scale":
        """That of some targets."""
        values = targets.astype(np.float64)
        return cls(float(values.mean()), float(values.std()) or 1.0)

    def standardised(self, targets: NDArray[np.float32]) -> NDArray[np.float32]:
        """Targets as the model learns them."""
        return ((targets.astype(np.float64) - self.mean) / self.std).astype(np.float32)

    def restored(self, outputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the model says, in the targets' own unit."""
        return (outputs.astype(np.float64) * self.std + self.mean).astype(np.float32)
