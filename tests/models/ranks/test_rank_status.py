"""A rank that makes no progress is ended, and says where it was stuck."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from models.ranks import exit_records
from models.ranks.exit_records import RankFailure
from models.ranks.rank_status import EXIT_STUCK
from tests.models.cases import ROOT

HANGS = """
import sys, time
from models.ranks import exit_records
def stand_still(seconds):
    time.sleep(seconds)
with exit_records.record_exit(sys.argv[1], timeout_s=0.6) as status:
    with status.waiting():
        time.sleep(1.5)  # for others, which is no fault of this rank
    for step in range(4):
        status.step = step
        time.sleep(0.4)
        status.mark_progress()
    stand_still(float(sys.argv[2]))
"""


def run(folder: Path, seconds: float) -> subprocess.CompletedProcess[bytes]:
    """A rank that stands still for so long."""
    command = [sys.executable, "-c", HANGS, str(folder), str(seconds)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60)


def test_a_stuck_rank_is_ended_and_tells_where(tmp_path: Path) -> None:
    began = time.monotonic()
    done = run(tmp_path, 600)
    assert time.monotonic() - began < 30
    assert done.returncode == EXIT_STUCK
    record = json.loads((tmp_path / "ranks" / "failed-0.json").read_text())
    assert record["step"] == 3
    assert "stand_still" in record["traceback"]
    assert "train.timeout_s=0.6" in record["traceback"]
    assert record["traceback"] in done.stderr.decode()
    with pytest.raises(RankFailure, match="stand_still") as failure:
        exit_records.check_all_finished(str(tmp_path), ranks=1)
    assert not failure.value.mistake


def test_a_slow_rank_is_not_ended(tmp_path: Path) -> None:
    assert run(tmp_path, 0.2).returncode == 0
    assert exit_records.done_records(str(tmp_path))
