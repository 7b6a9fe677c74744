"""The examples of extending.md, added to a copy of the code: one job uses all of them, and the models' tests pass."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import documents, last_json
from tests.jobs import ROOT, environment
from tests.pages import page

PAGE = page("extending")
# What the page says of names: the file, the line that holds them, and the same line with one more.
NAMES = (
    ("models/training/optimizers.py", "\nOPTIMIZERS = {", '{rmsprop}\nOPTIMIZERS = {"rmsprop": rmsprop, '),
    ("models/training/losses.py", "\nLOSSES = {", '{focal}\nLOSSES = {"focal": focal, '),
    ("models/training/task.py", '"optimizer": (', '"optimizer": ("rmsprop", '),
    ("models/training/task.py", "\nKIND_OF_LOSS = {", '\nKIND_OF_LOSS = {"focal": "label", '),
)


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with the examples in it."""
    tree = tmp_path_factory.mktemp("extended")
    for folder in ("models", "pipelines", "conf", "tests"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    functions = {}
    for path, content in PAGE.titled:
        if (tree / path).exists():
            functions[content.removeprefix("def ").partition("(")[0]] = content
        else:
            (tree / path).write_text(content)
    for path, line, more in NAMES:
        code = (tree / path).read_text()
        assert code.count(line) == 1, f"{path} holds {line!r} {code.count(line)} times"
        for name, content in functions.items():
            more = more.replace(f"{{{name}}}", f"\n\n{content}\n")  # noqa: PLW2901
        (tree / path).write_text(code.replace(line, more))
    return tree


def run(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    # Without what pytest tells its own workers: one of the commands is pytest.
    variables = {name: value for name, value in environment().items() if not name.startswith("PYTEST_")}
    variables |= {"PYTHONPATH": str(tree), "SPARK_CONF_DIR": str(tree / "conf")}
    return subprocess.run(command, cwd=tree, env=variables, capture_output=True, text=True, check=False, timeout=300)


def test_the_page_has_all_examples() -> None:
    assert [path for path, _ in PAGE.titled] == [
        "models/pairs.py",
        "conf/model/pairs.yaml",
        "pipelines/sources/fasttext.py",
        "conf/source/fasttext.yaml",
        "models/training/optimizers.py",
        "models/training/losses.py",
    ]
    assert [command.arguments[0] for command in PAGE.commands] == ["model=pairs", "source=fasttext"]


@pytest.mark.submit
def test_a_job_uses_them(extended: Path, tmp_path: Path) -> None:
    lines = [f"__label__{row['label']} {row['text']}".encode() for row in documents(100)]
    (tmp_path / "in.txt").write_bytes(b"\n".join([*lines, b"__label__sea caf\xe9"]) + b"\n")
    arguments = [word for command in PAGE.commands for word in command.arguments]
    arguments = [word.replace("/data/fasttext", f"{tmp_path}/in.txt") for word in arguments]
    more = ("train.optimizer=rmsprop", "train.loss=focal", "train.epochs=8", f"lake={tmp_path}/lake")
    done = run(extended, "spark-submit", "--master", "local[2]", "pipelines/train.py", *arguments, *more)
    assert done.returncode == 0, done.stderr[-3000:]
    report = last_json(done.stdout)
    assert (report["model"], report["dataset"]) == ("pairs", "fasttext")
    assert (report["rows"]["kept"], report["rows"]["quarantined"]) == (100, 1)
    assert report["metrics"]["test"]["accuracy"] > 0.7


@pytest.mark.submit
def test_the_models_tests_take_it_up(extended: Path) -> None:
    # The GPU's tests are those of one model.
    chosen = ("tests/models", "-k", "pairs", "--ignore", "tests/models/training/test_gpu.py")
    done = run(extended, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "skipped" not in done.stdout
