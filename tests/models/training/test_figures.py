"""A training's figures keep the form that reports and figures.json have."""

from models.dataset.target_scaling import TargetScale
from models.training.figures import TrainingFigures

VALUES = {
    "ranks": 2,
    "shards": 4,
    "steps": 60,
    "resumed_at": 5,
    "epochs": 3,
    "loss": 0.5,
    "validation": {"loss": 0.25, "accuracy": 0.75},
    "target": {"mean": 1.5, "std": 2.0},
    "documents": 100,
    "parameters": 1234,
    "memory_mb": 300,
    "stepping": 0.125,
    "seen": 480,
    "seconds": 2.5,
}


def test_figures_are_written_as_they_were_read() -> None:
    figures = TrainingFigures.from_dict(VALUES | {"failures": 1})
    assert figures.target == TargetScale(1.5, 2.0)
    assert figures.to_dict() == VALUES
