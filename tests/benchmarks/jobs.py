"""Jobs as users start them, for measuring."""

import json
import subprocess
import tempfile
import time
from typing import Any

import psutil

from pipelines.config import CONF

SAMPLE_S = 0.2


def submit(job: str, *arguments: str, driver: str = "2g") -> dict[str, Any]:
    """The JSON report of `spark-submit pipelines/<job>.py …` on two cores.

    With `wall`, the whole command's seconds, and `peak_mb`, the largest resident memory seen of any one process of each
    kind (java, python), sampled five times a second.
    """
    script = str(CONF.parent / "pipelines" / f"{job}.py")
    command = ["spark-submit", "--master", "local[2]", "--driver-memory", driver, script, *arguments]
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        running = subprocess.Popen(command, stdout=output, stderr=errors, text=True)
        peaks = watched(running)
        output.seek(0)
        errors.seek(0)
        if running.returncode:
            raise RuntimeError(errors.read()[-3000:])
        report: dict[str, Any] = json.loads(output.read().strip().splitlines()[-1])
    return report | {"wall": round(time.monotonic() - began, 1), "peak_mb": peaks}


def watched(running: subprocess.Popen[str]) -> dict[str, int]:
    """Wait for a job; the peak megabytes of its processes, by kind."""
    peaks: dict[str, int] = {}
    tree = psutil.Process(running.pid)
    while running.poll() is None:
        for process in [tree, *tree.children(recursive=True)]:
            try:
                kind = process.name().rstrip("0123456789.")
                peaks[kind] = max(peaks.get(kind, 0), process.memory_info().rss >> 20)
            except psutil.NoSuchProcess:
                continue  # ended since it was listed
        time.sleep(SAMPLE_S)
    return {kind: peaks[kind] for kind in ("java", "python") if kind in peaks}
