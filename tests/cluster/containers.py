"""What YARN's containers get from a job: our code and environment, by the archives that `make pack` makes."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import pyspark

from tests.jobs import ROOT

ENVIRONMENT, CODE = ROOT / "build" / "textmill-env.tar.gz", ROOT / "build" / "textmill.zip"
SPARK_JARS = Path(pyspark.__file__).parent / "jars"
BARE = Path(sys.base_prefix) / "bin" / "python3.11"
SIZES = {
    "spark.executor.instances": "2",
    "spark.executor.memory": "512m",
    "spark.executor.memoryOverhead": "1700m",  # a rank's processes
    "spark.driver.memory": "640m",
    "spark.yarn.jars": f"local:{SPARK_JARS}/*",  # Spark's own; every node of this cluster is this machine
}


def packed(archive: str = str(ENVIRONMENT)) -> dict[str, str]:
    """The packed environment, from wherever it is; its Python's own libraries are the standard ones alone."""
    assert ENVIRONMENT.exists(), "make pack has not been called"
    assert subprocess.run([BARE, "-c", "import pyarrow"], capture_output=True, check=False).returncode
    return {
        "spark.yarn.dist.archives": f"{archive}#environment",
        "spark.pyspark.python": "./environment/bin/python",
        "spark.pyspark.driver.python": sys.executable,
    }


def code_alone(folder: Path) -> dict[str, str]:
    """Our code, for a Python that has the libraries, but nothing of ours."""
    assert CODE.exists(), "make pack has not been called"
    venv.create(folder / "libraries", symlinks=True)
    libraries = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    inside = folder / "libraries" / "lib" / "python3.11" / "site-packages"
    (inside / "libraries.pth").write_text(f"{libraries}\n")
    python = folder / "libraries" / "bin" / "python"
    for module, there in (("torch", True), ("models", False)):
        command = [python, "-c", f"import importlib.util as u, sys; sys.exit(not u.find_spec({module!r}))"]
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        assert (subprocess.run(command, cwd="/", env=clean, check=False).returncode == 0) is there, module
    return {
        "spark.yarn.dist.archives": f"{CODE}#textmill",
        "spark.yarn.appMasterEnv.PYTHONPATH": "textmill",
        "spark.executorEnv.PYTHONPATH": "textmill",
        "spark.pyspark.python": str(python),
    }
