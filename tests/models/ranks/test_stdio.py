"""Whatever a rank prints reaches the driver as numbered lines of valid UTF-8, not too long and not too many."""

import subprocess
import sys
import time

from models.ranks import stdio
from models.ranks.progress import MARKER
from tests.models.cases import ROOT


def output_of(code: str, *, rank: int = 3) -> list[str]:
    """The lines that reach the driver when a rank runs `code`."""
    program = f"import os, sys, time\nfrom models.ranks import stdio\nwith stdio.prefixed_output({rank}):\n"
    program += "".join(f"    {line}\n" for line in code.splitlines())
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert not done.stderr
    first, *lines = done.stdout.decode("utf-8", "strict").splitlines()
    assert first == ""  # the one that TorchDistributor's worker prints itself
    return lines


def test_lines_have_the_ranks_number_whoever_prints_them() -> None:
    lines = output_of(
        "print('one')\nprint('two', file=sys.stderr)\n"
        "os.write(2, b'three\\n')\nos.system('echo four')\nprint('five', end='')"
    )
    assert sorted(lines) == [f"[rank 3] {word}" for word in ("five", "four", "one", "three", "two")]


def test_invalid_utf8_becomes_valid() -> None:
    assert output_of("os.write(1, b'a\\xff\\xfe b\\n')") == ["[rank 3] a\\xff\\xfe b"]


def test_long_lines_are_broken() -> None:
    lines = output_of("print('é' * 9000)")
    assert [len(line.removeprefix("[rank 3] ").encode()) <= stdio.MAX_LINE_BYTES for line in lines] == [True] * len(
        lines
    )
    assert "".join(line.removeprefix("[rank 3] ") for line in lines).count("é") > 8990


def test_of_a_million_lines_most_are_left_out_but_no_progress_line() -> None:
    began = time.monotonic()
    lines = output_of(f"for n in range(1000): print('line x\\n' * 1000, end='')\nprint('{MARKER}{{}}')\nprint('last')")
    assert f"[rank 3] {MARKER}{{}}" in lines
    assert len(lines) < (2 + time.monotonic() - began) * stdio.MAX_LINES_PER_S
    left_out = sum(int(line.split()[3].replace(",", "")) for line in lines if "lines left out" in line)
    kept = sum(" line " in line for line in lines)
    assert left_out + kept in (1_000_000, 1_000_001)  # "last" may be among them


def test_a_silent_rank_sends_a_heartbeat() -> None:
    lines = output_of("time.sleep(0.5)", rank=0)
    assert lines == []
    beats = output_of("stdio.HEARTBEAT_S = 0.1\nprint('woken', flush=True)\ntime.sleep(1)")
    assert beats[0] == "[rank 3] woken"
    assert beats.count("") >= 3
