"""What conf/schedule says, read without running it; tests/cluster/ runs it."""

import configparser
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar, Self

import pytest

from pipelines.config import load
from tests.jobs import ROOT
from tests.schedules import FOLDER, cron, here, parsed
from tests.test_imports import Tree


def words(command: str) -> list[str]:
    """The arguments of the stage that a command submits."""
    return re.split(r" >>|\n", command.split(".py ", 1)[1])[0].split()


def unit(name: str) -> configparser.ConfigParser:
    """A unit file; of a key that stands several times, as Environment, the last is kept."""
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.optionxform = str  # type: ignore[assignment,method-assign]
    found.read(FOLDER / name)
    return found


def test_cron_lines_have_five_times_a_user_and_a_command() -> None:
    variables, lines = cron()
    assert set(variables) == {"SHELL", "PATH", "SPARK_CONF_DIR", "HADOOP_CONF_DIR", "MAILTO"}
    assert [line[:6] for line in lines] == [
        ["17", "4", "*", "*", "*", "textmill"],
        ["17", "7", "*", "*", "0", "textmill"],
    ]
    for line in lines:
        assert "%" not in line[6], "cron would end the command there"
        assert re.search(r" >>(\S+) 2>&1 \|\| tail -n 20 \1$", line[6]), "what a job says is kept"


class Operator:
    """Airflow's operator and its DAG, as far as the file needs them: a task remembers what it would submit."""

    submitted: ClassVar[list[tuple[str, list[str]]]] = []

    def __init__(self, *_: object, application: str = "", application_args: Sequence[str] = (), **__: object) -> None:
        if application:
            self.submitted.append((application, list(application_args)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __rshift__(self, after: Self) -> Self:
        return after


def in_airflow(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """What the DAGs submit: the path of each job, and its arguments."""
    names = {"DAG": Operator, "SparkSubmitOperator": Operator, "Context": dict}
    failures = {"AirflowException": Exception, "AirflowFailException": Exception}
    for module in ("providers.apache.spark.operators.spark_submit", "sdk", "sdk.exceptions"):
        monkeypatch.setitem(sys.modules, f"airflow.{module}", SimpleNamespace(**names, **failures))
    monkeypatch.setattr(Operator, "submitted", [])
    runpy.run_path(str(FOLDER / "textmill_dag.py"))
    return Operator.submitted


def by_cron() -> list[tuple[str, list[str]]]:
    """What the cron file submits."""
    return [(re.findall(r"\S+\.py", line[6])[0], words(line[6])) for line in cron()[1]]


def by_systemd() -> list[tuple[str, list[str]]]:
    """What the timers' services submit, in their working folder."""
    service = unit("textmill@.service")["Service"]
    found = []
    for path in FOLDER.glob("*.timer"):
        template, _, job = unit(path.name)["Timer"]["Unit"].removesuffix(".service").partition("@")
        assert (FOLDER / f"{template}@.service").exists()
        command = service["ExecStart"].replace("%i", job)
        script = Path(service["WorkingDirectory"], re.findall(r"\S+\.py", command)[0])
        found.append((str(script), words(command)))
    return found


def test_each_command_submits_a_job_that_understands_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`load` refuses arguments that it does not know."""
    schedules = {"cron": by_cron(), "systemd": by_systemd(), "Airflow": in_airflow(monkeypatch)}
    jobs = {name: sorted(Path(path).stem for path, _ in commands) for name, commands in schedules.items()}
    assert jobs == {
        "cron": ["maintain", "train"],
        "systemd": ["maintain", "train"],
        "Airflow": ["featurize", "maintain", "train"],
    }
    known = {f"/opt/textmill/{name.replace('.', '/')}.py" for name in Tree(ROOT).jobs}
    for path, arguments in chain.from_iterable(schedules.values()):
        assert path in known
        config = load(arguments)
        assert config.report == f"file:///var/lib/textmill/{Path(path).stem}.json"
        assert config.train.reuse or Path(path).stem != "train"


def test_cron_and_systemd_train_alike() -> None:
    assert dict(by_cron())["/opt/textmill/pipelines/train.py"] == dict(by_systemd())["/opt/textmill/pipelines/train.py"]


def test_timers_start_the_service_when_cron_would() -> None:
    starts = {name: unit(f"textmill-{name}.timer")["Timer"] for name in ("train", "maintain")}
    assert {name: timer["Unit"] for name, timer in starts.items()} == {
        name: f"textmill@{name}.service" for name in starts
    }
    assert (starts["train"]["OnCalendar"], starts["maintain"]["OnCalendar"]) == ("*-*-* 04:17", "Sun *-*-* 07:17")


def test_another_jobs_data_set_is_tried_again() -> None:
    service = unit("textmill@.service")["Service"]
    assert (service["RestartForceExitStatus"], service["Type"]) == ("75", "exec")
    assert "Restart" not in service, "any other failure is for a person to see"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_has_nothing_to_say(tmp_path: Path) -> None:
    """Of a unit that it does not like, systemd may say so and yet leave with 0."""
    for name in ("textmill@.service", "textmill-train.timer", "textmill-maintain.timer"):
        (tmp_path / name).write_text(here(name, tmp_path))
    (tmp_path / "textmill@train.service").symlink_to("textmill@.service")
    assert verified(tmp_path) == ""
    service = tmp_path / "textmill@.service"
    service.write_text(service.read_text().replace("Type=exec", "Type=oneshot"))
    assert "isn't allowed for Type=oneshot services" in verified(tmp_path)


def verified(folder: Path) -> str:
    """What systemd says of the units in a folder."""
    units = [str(path) for path in folder.iterdir() if "@." not in path.name]
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout + done.stderr


def test_a_variable_of_cron_is_no_line() -> None:
    assert parsed("# a\nA=b c\n1 2 3 4 5 me do this = that\n") == (
        {"A": "b c"},
        [["1", "2", "3", "4", "5", "me", "do this = that"]],
    )
