"""Jobs as users start them, for measuring."""

import json
import subprocess
import time
from typing import Any

from pipelines.config import CONF


def submit(job: str, *arguments: str, driver: str = "2g") -> dict[str, Any]:
    """The JSON report of `spark-submit pipelines/<job>.py …` on two cores, with the whole process's seconds in it."""
    script = str(CONF.parent / "pipelines" / f"{job}.py")
    command = ["spark-submit", "--master", "local[2]", "--driver-memory", driver, script, *arguments]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    report: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return report | {"wall": round(time.monotonic() - began, 1)}
