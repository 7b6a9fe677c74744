"""A report for people, on one screen: a line per subject, at most 100 columns wide."""

import textwrap
from collections.abc import Mapping
from typing import Any

from pipelines.tracking.reports import Report

WIDTH = 100
LABEL = 11  # columns of a line's subject
MOST_CLASSES = 8  # that get a line of their own
TITLE = ("job", "status", "run")
SUBJECT = ("model", "source", "dataset", "snapshot")
NAMES = {  # for keys of the JSON object that are not plain words
    "interval": "95 % interval",
    "macro_f1": "macro-F1",
    "micro_f1": "micro-F1",
    "majority": "majority class",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "rmse_of_mean": "RMSE of the mean",
    "resumed_at": "resumed at step",
    "memory_mb": "MB of memory",
    "stepping": "seconds in steps",
    "seen": "documents seen",
    "launching": "seconds of launching",
}


def render(report: Report) -> str:
    """The report without its matrices and with at most `MOST_CLASSES` classes; the JSON line has all of it.

    One line each for the job, for what it worked on, and for every other value; nested values share a line.
    """
    values = report.to_dict()
    metrics, run = values.pop("metrics", {}), values.pop("run", None)
    lines = [_line(values.pop("job"), values.pop("status") + (f", run {run}" if run else ""))]
    subject = ", ".join(f"{name} {values.pop(name)}" for name in SUBJECT if name in values)
    lines += [_line("on", subject)] if subject else []
    last = [_line(name, str(values.pop(name))) for name in ("bundle", "output", "error") if name in values]
    values.pop("settings", None)
    seconds = ", ".join(f"{stage} {value:.1f}" for stage, value in values.pop("seconds").items())
    lines += [_line("seconds", seconds), *(_line(name, _inline(value)) for name, value in values.items())]
    for split, scores in metrics.items():
        lines += _score_lines(split, scores)
    return "\n".join([*lines, *last])


def _score_lines(split: str, scores: Mapping[str, Any] | None) -> list[str]:
    if scores is None:
        return [_line(split, "no document")]
    scalars = {name: value for name, value in scores.items() if name not in ("classes", "confusion")}
    return [_line(split, _inline(scalars)), *_class_lines(scores.get("classes", {}))]


def _class_lines(classes: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A line for each of the classes with the lowest F1."""
    worst = sorted(classes, key=lambda name: (classes[name]["f1"], name))[:MOST_CLASSES]
    lines = []
    for name in worst:
        scores = classes[name]
        text = ", ".join(f"{metric} {scores[metric]:.3f}" for metric in ("precision", "recall", "f1"))
        lines.append(f"  {_shortened(name):<30} {text}, {scores['support']:,.0f} documents")
    if len(classes) > len(worst):
        lines.append(f"  and {len(classes) - len(worst):,} classes with a higher F1: see the JSON line")
    return lines


def _shortened(name: str) -> str:
    return name if len(name) <= 30 else f"{name[:29]}…"


def _inline(value: Any) -> str:
    """A value on one line: an object as its entries, a number with at most four decimals."""
    if isinstance(value, Mapping):
        return (
            ", ".join(f"{NAMES.get(name, name.replace('_', ' '))} {_inline(entry)}" for name, entry in value.items())
            or "none"
        )
    if isinstance(value, list):
        return " to ".join(map(_inline, value)) if _is_pair(value) else ", ".join(map(_inline, value)) or "none"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _is_pair(value: list[Any]) -> bool:
    return len(value) == 2 and all(isinstance(entry, int | float) for entry in value)


def _line(subject: str, text: str) -> str:
    """A subject and its text, wrapped; a long word such as a path stays whole."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=f"{subject:<{LABEL}} ",
        subsequent_indent=" " * (LABEL + 1),
        break_long_words=False,
        break_on_hyphens=False,
    )
