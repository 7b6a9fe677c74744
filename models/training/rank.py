"""What TorchDistributor pickles: imported without torch by the driver, and by the worker that starts the ranks."""

from typing import Any

from models.training.task import Task


def fit(task: Task) -> dict[str, Any]:
    """`models.training.loop.fit` in a rank of its own; torch, which takes two seconds, is imported there alone."""
    from models.training import loop, output, proof

    with output.numbered(proof.rank()):
        return loop.fit(task)
