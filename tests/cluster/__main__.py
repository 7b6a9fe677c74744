"""A small Hadoop to try things on: `python -m tests.cluster start|stop`, by `make cluster` and `make cluster-stop`.

HDFS with two DataNodes and YARN with two NodeManagers, on the loopback interface. A supervisor in the background runs
the daemons, which end with it, however it ends. All that they write is in `build/cluster`.
`python -m tests.cluster fetch` fetches the JARs of its daemons, and those of the other daemons that tests start.
"""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time

import psutil

from tests import reaper
from tests.cluster import jars

ROOT = jars.FOLDER.parents[1]
FOLDER = ROOT / "build" / "cluster"
STATE, LOG = FOLDER / "running.json", FOLDER / "log"
CORES = 2  # of each NodeManager: a driver and a rank
START_S = 300


def start() -> int:
    """Start the supervisor, and wait until all daemons are ready."""
    from tests.jobs import environment

    if running():
        print(usage())
        return 0
    if status := fetch():
        return status
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    print("cluster: starting HDFS and YARN (half a minute)", file=sys.stderr, flush=True)
    with LOG.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.cluster", "supervise"],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_S
    while not STATE.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.terminate()
            print(f"cluster: it has not started; the log is {LOG}", file=sys.stderr)
            return 1
        time.sleep(0.2)
    print(usage())
    return 0


def stop() -> int:
    """Stop the supervisor, which stops the daemons."""
    supervisor = running()
    if not supervisor:
        print("cluster: none is running")
        return 0
    supervisor.terminate()
    supervisor.wait(timeout=120)
    print(f"cluster: stopped; its files are still in {FOLDER}")
    return 0


def supervise() -> int:
    """Run the daemons until SIGTERM."""
    from tests.cluster.daemons import LOOPBACK
    from tests.cluster.hadoop import hadoop

    reaper.start()
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    with hadoop(FOLDER, jars.class_path(), hosts=(LOOPBACK, LOOPBACK), cores=CORES) as started:
        me = psutil.Process()
        state = {"pid": me.pid, "created": me.create_time(), "address": started.address, "conf": str(started.conf)}
        STATE.with_suffix(".tmp").write_text(json.dumps(state))
        STATE.with_suffix(".tmp").rename(STATE)
        over.wait()
    STATE.unlink()
    return 0


def fetch() -> int:
    """Fetch what the daemons of all tests need; a second time it is there."""
    try:
        jars.fetch()
    except RuntimeError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    return 0


def running() -> psutil.Process | None:
    """The supervisor, if there is one: a process of that id that began when it did."""
    if not STATE.exists():
        return None
    state = json.loads(STATE.read_text())
    try:
        process = psutil.Process(state["pid"])
        return process if process.create_time() == state["created"] else None
    except psutil.NoSuchProcess:
        return None


def usage() -> str:
    """How to use the running cluster."""
    state = json.loads(STATE.read_text())
    return "\n".join(
        [
            f"HDFS is {state['address']}; for a shell that submits to it:",
            f"  export HADOOP_CONF_DIR={state['conf']}",
            "  spark-submit --master yarn --conf spark.executor.memoryOverhead=3g \\",
            f"      --conf spark.pyspark.python={sys.executable} pipelines/train.py lake={state['address']}/lake",
        ]
    )


if __name__ == "__main__":
    commands = {"start": start, "stop": stop, "supervise": supervise, "fetch": fetch}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    sys.exit(commands[sys.argv[1]]())
