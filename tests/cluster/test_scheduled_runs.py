"""The night's job as cron and systemd start it: in an environment as bare as theirs."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests import reaper
from tests.conftest import last_json
from tests.schedules import here, parsed, write_text

pytestmark = pytest.mark.cluster


def bare(folder: Path, variables: dict[str, str]) -> dict[str, str]:
    """What cron gives a command before the file's own variables, and those; no Hadoop is configured here."""
    home = {"HOME": os.environ["HOME"], "LOGNAME": "textmill", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
    return home | variables | {"HADOOP_CONF_DIR": str(folder)} | reaper.mark()


def run(command: list[str], folder: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A command in an empty working folder, in that environment alone."""
    (folder / "work").mkdir(exist_ok=True)
    environment = bare(folder, variables)
    return subprocess.run(
        command, cwd=folder / "work", env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def test_cron_trains_and_keeps_the_log(tmp_path: Path) -> None:
    write_text(tmp_path)
    variables, lines = parsed(here("textmill.cron", tmp_path))
    command = [variables["SHELL"], "-c", lines[0][6]]
    done = run(command, tmp_path, variables)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "what cron would mail"
    first = last_json((tmp_path / "train.json").read_text())
    assert (first["status"], first["rows"]["kept"]) == ("done", 100)
    log = (tmp_path / "train.log").read_text()
    assert "epoch 1/" in log
    assert last_json(log) == first

    assert run(command, tmp_path, variables).stdout == ""
    again = last_json((tmp_path / "train.json").read_text())
    assert (again["status"], again["run"]) == ("unchanged", first["run"])
    assert (tmp_path / "train.log").read_text().startswith(log), "the first night's log is still there"


def test_cron_mails_the_end_of_a_failure(tmp_path: Path) -> None:
    """There is no text at all."""
    variables, lines = parsed(here("textmill.cron", tmp_path))
    done = run([variables["SHELL"], "-c", lines[0][6]], tmp_path, variables)
    assert "there is nothing at" in done.stdout
    assert last_json((tmp_path / "train.json").read_text())["status"] == "failed"


def test_systemds_command_trains(tmp_path: Path) -> None:
    """As systemd starts it: no shell, the unit's own environment."""
    write_text(tmp_path)
    text = here("textmill@.service", tmp_path).replace("%i", "train")
    variables = dict(pair.split("=", 1) for pair in re.findall(r"(?m)^Environment=(.*)$", text))
    assert set(variables) == {"PATH", "SPARK_CONF_DIR", "HADOOP_CONF_DIR"}
    (command,) = re.findall(r"(?m)^ExecStart=(.*)$", text)
    (folder,) = re.findall(r"(?m)^WorkingDirectory=(.*)$", text)
    done = subprocess.run(
        shlex.split(command),
        cwd=folder,
        env=bare(tmp_path, variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert last_json(done.stdout)["status"] == "done"
    assert last_json((tmp_path / "train.json").read_text()) == last_json(done.stdout)
