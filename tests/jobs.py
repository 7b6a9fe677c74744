"""Jobs as users start them: spark-submit in a process of its own, with the activated environment."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pipelines.config import CONF
from tests.conftest import documents, write_json

ROOT = CONF.parent


def environment() -> dict[str, str]:
    """The activated environment, with the project's Spark configuration."""
    scripts = str(Path(sys.executable).parent)
    return os.environ | {"PATH": f"{scripts}:{os.environ['PATH']}", "SPARK_CONF_DIR": str(CONF)}


def submit(
    job: str, *arguments: str, cwd: Path | None = None, master: str = "local[2]"
) -> subprocess.CompletedProcess[str]:
    """`spark-submit pipelines/<job>.py …` from another folder than the project's."""
    command = ["spark-submit", "--master", master, str(ROOT / "pipelines" / f"{job}.py"), *arguments]
    return subprocess.run(
        command, cwd=cwd or "/", env=environment(), capture_output=True, text=True, check=False, timeout=300
    )


def start(
    job: str, arguments: list[str], errors: Path, master: str = "local[2]", **more: str
) -> subprocess.Popen[bytes]:
    """A job in a process group of its own, its standard error in a file and its standard output beside it."""
    command = ["spark-submit", "--master", master, str(ROOT / "pipelines" / f"{job}.py"), *arguments]
    with errors.open("wb") as stream, errors.with_suffix(".out").open("wb") as output:
        variables = environment() | more
        return subprocess.Popen(command, env=variables, stdout=output, stderr=stream, start_new_session=True)


def small(tmp_path: Path) -> list[str]:
    """A training on `little_text`, of three epochs."""
    return [*little_text(tmp_path), "train.epochs=3"]


def little_text(tmp_path: Path) -> list[str]:
    """A source of a hundred documents, and a lake."""
    if not (tmp_path / "in").exists():
        write_json(tmp_path / "in" / "a.json", [*documents(100), [1]])
    return [
        f"lake={tmp_path}/lake",
        "source=files",
        f"source.path={tmp_path}/in",
        "source.format=json",
        "source.label=label",
    ]


def wait_for(path: Path, text: str, running: subprocess.Popen[bytes]) -> None:
    """Wait until a job's output contains a text."""
    deadline = time.monotonic() + 240
    while text not in path.read_text(errors="replace"):
        assert running.poll() is None, path.read_text(errors="replace")[-3000:]
        assert time.monotonic() < deadline, f"'{text}' is not in the output"
        time.sleep(0.05)


def assert_gone(group: int) -> None:
    """No process of a group is left, after a moment to end."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("processes are left")


def weights_of(report: dict[str, Any]) -> bytes:
    """The weights that a training ended with."""
    return Path(report["bundle"].removeprefix("file://"), "weights.safetensors").read_bytes()
