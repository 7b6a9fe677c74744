"""Progress lines have the keys that the driver shows, and do not come too often."""

import json

import pytest

from models.ranks import progress
from models.ranks.progress import MARKER, ProgressReporter


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line.removeprefix(MARKER)) for line in capsys.readouterr().out.splitlines()]


def test_a_line_has_the_keys_that_the_driver_shows(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = ProgressReporter(3, 10, enabled=True, refit=True)
    reporter.print_line(2, 10, end=True, loss=0.12345678)
    (line,) = lines(capsys)
    assert isinstance(line.pop("documents_per_second"), int)
    assert line == {"refit": True, "epoch": 2, "epochs": 3, "step": 10, "steps": 10, "end": True, "loss": 0.123457}


def test_steps_are_reported_only_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 0.1, 0.2, 0.6, 0.7, 0.8])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    reporter = ProgressReporter(1, 10, enabled=True)
    for step in (1, 2, 3, 4):
        reporter.step(1, step, documents=7, loss=1.0)
    (line,) = lines(capsys)
    assert line["step"] == 3
    assert line["documents_per_second"] == round(3 * 7 / 0.7)


def test_only_rank_0_prints(capsys: pytest.CaptureFixture[str]) -> None:
    ProgressReporter(1, 10, enabled=False).print_line(1, 10, end=True)
    assert not lines(capsys)
