#!/bin/sh
# Makes .venv with the pinned dependencies, after looking whether Python, Java and the package index are there.
# Whatever is missing is said in one line, with exit status 2. Called by `make setup`, from the project's folder.
set -eu

fail() { echo "setup: $*" >&2; exit 2; }

python=${PYTHON:-python3.11}
command -v "$python" >/dev/null 2>&1 ||
  fail "$python is not found: install Python 3.11, or name one with 'make PYTHON=/path/to/python3.11'"
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || found=unknown
[ "$found" = 3.11 ] || fail "$python is Python $found, and 3.11 is needed: 'make PYTHON=/path/to/python3.11'"

java=${JAVA_HOME:+$JAVA_HOME/bin/}java
command -v "$java" >/dev/null 2>&1 ||
  fail "$java is not found: install a Java 17 runtime (openjdk-17-jre-headless), or set JAVA_HOME to one"
version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
[ "$version" = 17 ] || fail "$java is Java ${version:-of an unknown version}, and 17 is needed: set JAVA_HOME to one"

stamp=.venv/.complete
if [ -e $stamp ] && [ $stamp -nt pyproject.toml ] && [ $stamp -nt conf/setup.sh ]; then exit 0; fi
rm -f $stamp

echo "setup: installing the dependencies into .venv (some minutes; the log is .venv/setup.log)" >&2
[ -x .venv/bin/python ] || "$python" -m venv .venv ||
  fail "$python cannot make a virtual environment: install its venv module (python3.11-venv)"
# An address for wheels may be given relative to here; pip takes the CPU build of torch where it is offered.
.venv/bin/python -m pip install --disable-pip-version-check -e '.[dev]' >.venv/setup.log 2>&1 ||
  fail "the dependencies could not be installed ($(grep -m 1 -o 'ERROR.*' .venv/setup.log || echo 'no network?')); see .venv/setup.log"
# Spark looks for its configuration beside itself: this is how a plain `spark-submit` finds ours.
spark=$(.venv/bin/python -c 'import importlib.util as u; print(u.find_spec("pyspark").submodule_search_locations[0])')
rm -rf "$spark/conf"
ln -s "$PWD/conf" "$spark/conf"
touch $stamp
echo "setup: done" >&2
