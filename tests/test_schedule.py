"""What conf/schedule says, read without running it; tests/cluster/ runs it."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines.config import load
from tests.jobs import ROOT
from tests.schedules import FOLDER, JOBS, cron, here, parsed


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


def test_the_arguments_are_known() -> None:
    """`load` refuses what it does not know."""
    train = words(cron()[1][0][6])
    assert load(train).train.reuse
    assert load(train).report == "/var/lib/textmill/train.json"
    assert words(unit("textmill@.service")["Service"]["ExecStart"].replace("%i", "train")) == train


@pytest.mark.parametrize("job", JOBS)
def test_each_job_is_there(job: str) -> None:
    named = "".join(path.read_text() for path in FOLDER.iterdir())
    assert job in named
    assert (ROOT / "pipelines" / f"{job}.py").is_file()


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
