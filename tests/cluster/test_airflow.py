"""The DAGs of conf/schedule in a real Airflow, which submits to a real Spark."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import reaper
from tests.conftest import last_json
from tests.jobs import ROOT
from tests.schedules import FOLDER, here, write_text

pytestmark = pytest.mark.cluster

LOCK = Path(__file__).with_name("airflow.txt")
DAG = "textmill_dag.py"
MASTER = "local[2]"

# Airflow's own view of a file: what it could not import, and of each task what would be run.
LOOK = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
def seen(task):
    hook = task._get_hook()
    return {
        "command": hook._build_spark_submit_command(task.application),
        "environment": hook._env,
        "retries": task.retries,
        "pause": task.retry_delay.total_seconds(),
        "before": sorted(task.downstream_task_ids),
    }
dags = {
    name: {"when": dag.schedule, "catchup": dag.catchup, "at_once": dag.max_active_runs,
           "tasks": {task.task_id: seen(task) for task in dag.tasks}}
    for name, dag in bag.dags.items()
}
print(json.dumps({"errors": bag.import_errors, "dags": dags}))
"""


@pytest.fixture(scope="module")
def airflow() -> Path:
    """The folder of Airflow's commands, installed once for each state of the list of versions (half a minute)."""
    folder = ROOT / "build" / f"airflow-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    if not (folder / ".complete").exists():
        for older in folder.parent.glob("airflow-*"):
            shutil.rmtree(older)
        _must(sys.executable, "-m", "venv", str(folder))
        # Wheels made elsewhere are compiled when they are first imported: most never are.
        install = ["install", "--quiet", "--no-deps", "--no-compile", "--disable-pip-version-check", "-r", str(LOCK)]
        _must(str(folder / "bin" / "python"), "-m", "pip", *install)
        (folder / ".complete").touch()
    return folder / "bin"


def _must(*command: str) -> None:
    """Run a command that is no part of the test, and say what it said where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=580)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


class Home:
    """An Airflow of a test's own: its database, its DAGs, and Airflow's Python before all others on PATH."""

    def __init__(self, commands: Path, folder: Path) -> None:
        self.commands, self.folder = commands, folder
        self.variables = reaper.mark() | {
            "HOME": os.environ["HOME"],
            "PATH": f"{commands}:/usr/bin:/bin",
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps({"conn_type": "spark", "host": MASTER}),
        }

    def put(self, text: str) -> Path:
        """Write the DAG file."""
        path = self.folder / "dags" / DAG
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def look(self, path: Path) -> dict[str, Any]:
        """What Airflow sees in a file; a warning that our file causes is an error of its import."""
        done = self._run("python", "-W", "error::DeprecationWarning", "-c", LOOK, str(path))
        assert done.returncode == 0, done.stderr[-3000:]
        return last_json(done.stdout)

    def run(self, path: Path, dag: str) -> str:
        """What `airflow dags test` says; it leaves with 0 whatever becomes of the tasks."""
        database = self._run("airflow", "db", "migrate")
        assert database.returncode == 0, database.stderr[-3000:]
        done = self._run("airflow", "dags", "test", "-f", str(path), dag)
        return done.stdout + done.stderr

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        words = [str(self.commands / command[0]), *command[1:]]
        return subprocess.run(
            words, cwd="/", env=self.variables, capture_output=True, text=True, check=False, timeout=400
        )


@pytest.fixture
def home(airflow: Path, tmp_path: Path) -> Home:
    return Home(airflow, tmp_path)


def test_the_dags_are_what_they_say(home: Home) -> None:
    seen = home.look(home.put((FOLDER / DAG).read_text()))
    assert seen["errors"] == {}
    assert {name: (dag["when"], dag["catchup"], dag["at_once"]) for name, dag in seen["dags"].items()} == {
        "textmill_nightly": ("17 4 * * *", False, 1),
        "textmill_weekly": ("17 7 * * 0", False, 1),
    }
    nightly, weekly = (seen["dags"][f"textmill_{name}"]["tasks"] for name in ("nightly", "weekly"))
    assert {name: task["before"] for name, task in nightly.items()} == {"featurize": ["train"], "train": []}
    assert list(weekly) == ["maintain"]
    for name, task in (nightly | weekly).items():
        assert (task["retries"], task["pause"]) == (4, 900)
        assert task["command"][:5] == ["spark-submit", "--master", MASTER, "--name", f"textmill-{name}"]
        assert task["command"][5] == f"/opt/textmill/pipelines/{name}.py"
        assert task["command"][-1] == f"report=/var/lib/textmill/{name}.json"
        assert task["environment"]["PATH"].startswith("/opt/textmill/.venv/bin:")
    assert "train.reuse=true" in nightly["train"]["command"]


def impatient(text: str) -> str:
    """The file without pauses between two tries."""
    return text.replace("timedelta(minutes=15)", "timedelta(0)")


def test_a_night_in_airflow(home: Home, tmp_path: Path) -> None:
    """Both tasks, one after the other, with a Spark of their own each."""
    write_text(tmp_path)
    path = home.put(impatient(here(DAG, tmp_path)))
    said = home.run(path, "textmill_nightly")
    assert "DagRun Finished: dag_id=textmill_nightly" in said, said[-3000:]
    assert "state=success" in said, said[-3000:]
    featurized, trained = (last_json((tmp_path / f"{name}.json").read_text()) for name in ("featurize", "train"))
    assert (featurized["rows"]["kept"], trained["rows"]["read"]) == (100, 0)
    assert trained["metrics"]["test"]["accuracy"] == 1.0


@pytest.mark.parametrize(("status", "times"), [(1, 5), (2, 1), (75, 5)])
def test_how_often_an_exit_status_is_tried(home: Home, tmp_path: Path, status: int, times: int) -> None:
    """A spark-submit that only leaves with it, found before the real one; and no pause between two tries."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "spark-submit"
    script.write_text(f"#!/bin/sh\necho so >>{tmp_path}/tried\necho 'textmill: so it is' >&2\nexit {status}\n")
    script.chmod(0o755)
    text = here(DAG, tmp_path).replace('"PATH": f"', f'"PATH": f"{script.parent}:')
    path = home.put(impatient(text))
    said = home.run(path, "textmill_weekly")
    assert (tmp_path / "tried").read_text().split() == ["so"] * times, said[-3000:]
    assert "textmill: so it is" in said, "what the job says is in the task's log"
    assert "state=failed" in said, said[-3000:]
