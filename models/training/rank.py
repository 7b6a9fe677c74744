"""What TorchDistributor pickles: imported without torch by the driver, and by the worker that starts the ranks."""

from typing import Any

from models.training.task import Task


def fit(task: Task) -> dict[str, Any]:
    """`models.training.loop.fit`, imported by the rank alone (torch takes two seconds)."""
    from models.training import loop

    return loop.fit(task)
