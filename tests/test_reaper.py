"""A test run that is ended leaves no process behind, whatever signal ended it."""

import os
import shutil
import signal
import subprocess
import uuid
from pathlib import Path

import psutil
import pytest

from tests.runs import PROBE, ROOT, Run, probed, wait

pytestmark = pytest.mark.submit
ALONE: tuple[str, ...] = ()
WORKERS = ("-n", "2")
SLEEPS = 4  # the commands that each of the tests below starts

# Processes such as tests start: in a session of its own, below a shell, stopped, deaf to SIGTERM, and ended twice over.
TESTS = """
import signal, subprocess, sys, time
from pathlib import Path
import pytest

FOLDER = Path(__file__).parent
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"

@pytest.mark.parametrize("number", [1, 2])
def test_something_long(number):
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    subprocess.Popen(["sh", "-c", "sleep 600 & sleep 600"], start_new_session=True)
    stopped = subprocess.Popen(["sleep", "600"], start_new_session=True)
    stopped.send_signal(signal.SIGSTOP)
    subprocess.Popen([sys.executable, "-c", DEAF], start_new_session=True)
    time.sleep(0.5)
    (FOLDER / f"ready-{number}").touch()
    time.sleep(LASTING)
"""


def lasting(seconds: int) -> str:
    """The tests, which end after so many seconds; what they have started does not."""
    return TESTS.replace("LASTING", str(seconds))


def sleeps(run: Run) -> list[psutil.Process]:
    """The commands that a run's tests have started."""
    return [process for process in probed(run.probe) if process.name() == "sleep"]


@pytest.mark.parametrize(
    ("options", "tests", "ended_by"),
    [
        (ALONE, 1, signal.SIGTERM),
        (ALONE, 1, signal.SIGKILL),
        (WORKERS, 2, signal.SIGTERM),
        (WORKERS, 2, signal.SIGINT),
    ],
    ids=["alone-SIGTERM", "alone-SIGKILL", "workers-SIGTERM", "workers-SIGINT"],
)
def test_a_run_that_is_ended_leaves_no_process(
    tmp_path: Path, options: tuple[str, ...], tests: int, ended_by: signal.Signals
) -> None:
    with Run(tmp_path, lasting(600), *options) as run:
        run.until_ready(tests)
        assert len(sleeps(run)) == SLEEPS * tests
        run.process.send_signal(ended_by)
        run.assert_nothing_left()
        assert run.process.returncode != 0


def test_what_a_crashed_worker_started_is_ended_while_the_run_goes_on(tmp_path: Path) -> None:
    with Run(tmp_path, lasting(600), *WORKERS) as run:
        run.until_ready(2)
        worker = next(child for child in psutil.Process(run.process.pid).children() if child.children())
        worker.kill()
        wait(lambda: len(sleeps(run)) == SLEEPS, "not just the killed worker's processes are gone")
        assert run.process.poll() is None
        run.process.terminate()
        run.assert_nothing_left()


def test_what_a_finished_run_left_is_ended_too(tmp_path: Path) -> None:
    with Run(tmp_path, lasting(0)) as run:
        run.assert_nothing_left()
        assert run.process.returncode == 0


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The Makefile and CI's script, in an environment whose Python sleeps and whose other commands do nothing."""
    for name in ("Makefile", ".ci/run"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    scripts = {
        ".venv/bin/python": "touch started; exec sleep 600",
        ".venv/bin/ruff": "exit 0",
        ".venv/bin/mypy": "exit 0",
        "conf/setup.sh": "exit 0",
    }
    for name, script in scripts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    return tmp_path


@pytest.mark.parametrize("command", [["make", "test"], ["bash", ".ci/run"]], ids=lambda command: command[-1])
def test_a_signal_to_make_or_ci_reaches_the_test_run(project: Path, command: list[str]) -> None:
    probe = uuid.uuid4().hex
    with subprocess.Popen(command, cwd=project, env=os.environ | {PROBE: probe}, start_new_session=True) as running:
        wait((project / "started").exists, "no test run has begun")
        running.terminate()
        wait(lambda: not probed(probe), f"processes are left: {probed(probe)}")
    assert running.returncode
