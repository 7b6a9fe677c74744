#!/usr/bin/env bash
# Packs everything that executors without the packages need: build/textmill-env.tar.gz, an environment for
# `spark-submit --archives`, and build/textmill.zip, the code alone for executors that already have the libraries.
# Called by `make pack`, from the project's folder. The nodes need the same Python in the same place.
set -euo pipefail

fail() { echo "pack: $*" >&2; exit 2; }

python=${PYTHON:-.venv/bin/python}
log=build/pack.log
mkdir -p build
stamp=build/textmill-env.tar.gz
if [ -e build/textmill.zip ] && [ "$stamp" -nt .venv/pyvenv.cfg ] &&
  [ -z "$(find pyproject.toml conf models pipelines -type f -newer "$stamp" -not -name '*.pyc' -print -quit)" ]; then
  echo "pack: $stamp is up to date" >&2
  exit 0
fi

echo "pack: installing into an environment of its own (one to three minutes; the log is $log)" >&2
rm -rf build/env build/textmill-env.* build/textmill.zip
"$python" -m venv build/env >"$log" 2>&1 || fail "$python cannot make a virtual environment; the log is $log"
build/env/bin/python -m pip install --disable-pip-version-check . venv-pack==0.2.0 >>"$log" 2>&1 ||
  fail "pip could not install the project; the log is $log"

site=$(build/env/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# In cluster mode the driver reads the configuration there.
cp -r conf "$site/conf"
# Spark brings its JARs and its own Python part itself; the rest is for compilers, or for the package with the texts.
rm -rf "$site"/pyspark/{jars,bin,sbin,data,examples,licenses} "$site"/torch/{include,test} "$site"/torch/lib/*.a \
  "$site"/{sklearn,scipy,scipy.libs}

echo "pack: packing it" >&2
build/env/bin/venv-pack --prefix build/env --output "$stamp" --compress-level 1 --quiet >>"$log" 2>&1 ||
  fail "venv-pack could not pack build/env; the log is $log"
build/env/bin/python - <<'PY'
import zipfile
from pathlib import Path

with zipfile.ZipFile("build/textmill.zip", "w", zipfile.ZIP_DEFLATED) as archive:
    for folder in ("models", "pipelines", "conf"):
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path)
PY
rm -rf build/env
du -h "$stamp" build/textmill.zip | sed 's/^/pack: /' >&2
