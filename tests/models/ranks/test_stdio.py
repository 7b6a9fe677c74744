"""A rank that prints anything is heard; a rank that stands still is ended."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.ranks import exit_records, stdio
from models.ranks.progress import MARKER
from tests.models.cases import ROOT


def said(code: str, *, rank: int = 3) -> list[str]:
    """The lines that reach the driver when a rank runs `code`."""
    program = f"import os, sys, time\nfrom models.ranks import stdio\nwith stdio.numbered({rank}):\n"
    program += "".join(f"    {line}\n" for line in code.splitlines())
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert not done.stderr
    first, *lines = done.stdout.decode("utf-8", "strict").splitlines()
    assert first == ""  # the one that TorchDistributor's worker prints itself
    return lines


def test_lines_bear_the_ranks_number_whoever_prints_them() -> None:
    lines = said(
        "print('one')\nprint('two', file=sys.stderr)\n"
        "os.write(2, b'three\\n')\nos.system('echo four')\nprint('five', end='')"
    )
    assert sorted(lines) == [f"[rank 3] {word}" for word in ("five", "four", "one", "three", "two")]


def test_invalid_utf8_becomes_valid() -> None:
    assert said("os.write(1, b'a\\xff\\xfe b\\n')") == ["[rank 3] a\\xff\\xfe b"]


def test_long_lines_are_cut() -> None:
    lines = said("print('é' * 9000)")
    assert [len(line.removeprefix("[rank 3] ").encode()) <= stdio.LONGEST for line in lines] == [True] * len(lines)
    assert "".join(line.removeprefix("[rank 3] ") for line in lines).count("é") > 8990


def test_a_million_lines_are_thinned_out_but_progress_is_not() -> None:
    began = time.monotonic()
    lines = said(f"for n in range(1000): print('line x\\n' * 1000, end='')\nprint('{MARKER}{{}}')\nprint('last')")
    assert f"[rank 3] {MARKER}{{}}" in lines
    assert len(lines) < (2 + time.monotonic() - began) * stdio.MOST
    left_out = sum(int(line.split()[3].replace(",", "")) for line in lines if "lines left out" in line)
    kept = sum(" line " in line for line in lines)
    assert left_out + kept in (1_000_000, 1_000_001)  # "last" may be among them


def test_a_silent_rank_sends_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = said("time.sleep(0.5)", rank=0)
    assert lines == []
    beats = said("stdio.HEARTBEAT_S = 0.1\nprint('woken', flush=True)\ntime.sleep(1)")
    assert beats[0] == "[rank 3] woken"
    assert beats.count("") >= 3


HANGS = """
import sys, time
from models.ranks import exit_records
def stand_still(seconds):
    time.sleep(seconds)
with exit_records.leave(sys.argv[1], timeout_s=0.6) as witness:
    with witness.waiting():
        time.sleep(1.5)  # for others: no fault of this rank
    for step in range(4):
        witness.step = step
        time.sleep(0.4)
        witness.alive()
    stand_still(float(sys.argv[2]))
"""


def test_a_rank_that_stands_still_is_ended_and_tells_where(tmp_path: Path) -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", HANGS, str(tmp_path), "600"], cwd=ROOT, capture_output=True, check=False, timeout=60
    )
    assert time.monotonic() - began < 30
    assert done.returncode == exit_records.STUCK
    record = json.loads((tmp_path / "ranks" / "failed-0.json").read_text())
    assert record["step"] == 3
    assert "stand_still" in record["traceback"]
    assert "train.timeout_s=0.6" in record["traceback"]
    with pytest.raises(exit_records.RankFailure, match="stand_still") as failure:
        exit_records.check(str(tmp_path), ranks=1)
    assert not failure.value.mistake


def test_a_slow_rank_is_not(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS, str(tmp_path), "0.2"], cwd=ROOT, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0
    assert exit_records.found(str(tmp_path), "done")


def test_failures_repeat_where_exception_and_step_are_the_same() -> None:
    first = exit_records.RankFailure("m", step=3, cause="OSError: x")
    assert exit_records.RankFailure("n", step=3, cause="OSError: x").repeats(first)
    for other in (
        exit_records.RankFailure("m", step=4, cause="OSError: x"),
        exit_records.RankFailure("m", step=3, cause="OSError: y"),
        exit_records.RankFailure("m", step=3),
    ):
        assert not other.repeats(first)
    assert not exit_records.RankFailure("m", step=3).repeats(exit_records.RankFailure("m", step=3)), "lost, not failed"
    assert not first.repeats(None)
