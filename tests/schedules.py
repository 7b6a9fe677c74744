"""The files of conf/schedule, with a test's folders in the place of those that they name."""

import sys
from pathlib import Path

from tests.conftest import documents, write_json
from tests.jobs import ROOT

FOLDER = ROOT / "conf" / "schedule"


def here(name: str, folder: Path) -> str:
    """The text of a file: this environment and this project; text, lake, reports and logs below `folder`."""
    text = (FOLDER / name).read_text()
    # The environment first: in some checkouts it is not the project's own .venv.
    for written, meant in (
        ("/opt/textmill/.venv/bin", Path(sys.executable).parent),
        ("{PROJECT}/.venv/bin", Path(sys.executable).parent),
        ("/opt/textmill", ROOT),
        ("/srv/textmill", folder),
        ("/var/lib/textmill", folder),
        ("/var/log/textmill", folder),
    ):
        text = text.replace(written, str(meant))
    return text


def write_text(folder: Path) -> None:
    """A hundred documents where the schedules look for text, and a row that is none."""
    write_json(folder / "in" / "a.json", [*documents(100), [1]])


def cron() -> tuple[dict[str, str], list[list[str]]]:
    """The variables of the cron file, and of each line its five times, its user and its command."""
    return parsed((FOLDER / "textmill.cron").read_text())


def parsed(text: str) -> tuple[dict[str, str], list[list[str]]]:
    """As `cron`, of any text: a line with `=` in its first word is a variable, as cron(8) has it."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    variables = dict(line.split("=", 1) for line in lines if "=" in line.split()[0])
    return variables, [line.split(maxsplit=6) for line in lines if "=" not in line.split()[0]]
