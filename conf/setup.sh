#!/usr/bin/env bash
# Makes .venv with the pinned dependencies, after checking for Python and Java. Whatever is missing is reported in one
# line, with exit status 2. Called by `make setup`, from the project's folder.
set -euo pipefail

fail() { echo "setup: $*" >&2; exit 2; }

# The minor versions of Python 3 and the versions of Java that fit; pyproject.toml has the former too.
oldest=11 newest=14
javas="17 21"
name_one="name one: make setup PYTHON=/path/to/python3.$oldest"

# Run it instead of looking for it: pyenv leaves commands that exist but only report that the version is not installed.
version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }
fits() { case $1 in 3.*) [ "${1#3.}" -ge $oldest ] && [ "${1#3.}" -le $newest ] ;; *) false ;; esac; }

python=${PYTHON:-}
if [ -z "$python" ]; then
  for candidate in python3.{11..14} python3; do
    if fits "$(version "$candidate")"; then python=$candidate && break; fi
  done
  [ -n "$python" ] || fail "no Python 3.$oldest to 3.$newest is found: install python3.$oldest, or $name_one"
fi
python_is=$(version "$python") || fail "$python is not found: install Python 3.$oldest to 3.$newest, or $name_one"
fits "$python_is" || fail "$python is Python $python_is: 3.$oldest to 3.$newest is needed; $name_one"

# As Spark itself chooses it.
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
said=$("$java" -version 2>&1) ||
  fail "$java is not found: install a Java ${javas/ / or } runtime (openjdk-17-jre-headless), or set JAVA_HOME to one"
# Java 8 calls itself 1.8.
java_is=$(sed -nE 's/.*version "(1\.)?([0-9]+).*/\2/p' <<<"$said" | head -n 1)
[[ " $javas " == *" ${java_is:-unknown} "* ]] ||
  fail "$java is Java ${java_is:-unknown}: ${javas/ / or } is needed; set JAVA_HOME to one"

stamp=.venv/.complete
log=build/setup.log

# Spark brings these JARs at its first start; of two first starts at once both fail. Ivy's cache, where they are, may be
# emptied while .venv stays: the stamp names them.
SESSION='from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
print(spark.conf.get("spark.jars", "").replace("file://", "").replace(",", "\n"))
spark.stop()'
fetch_jars() {
  echo "setup: fetching Delta Lake's JARs" >&2
  mkdir -p build
  PATH="$PWD/.venv/bin:$PATH" .venv/bin/python -c "$SESSION" 2>>"$log" | tee build/delta-jars >>"$log" ||
    fail "Spark could not fetch Delta Lake, or not start: look at the network or the proxy, and repeat; the log is $log"
  cp build/delta-jars "$stamp"
}
jars_are_there() { while read -r jar; do [ -z "$jar" ] || [ -e "$jar" ] || return 1; done <"$stamp"; }

if [ "$stamp" -nt pyproject.toml ] && [ "$stamp" -nt conf/setup.sh ]; then
  jars_are_there || fetch_jars
  exit 0
fi

# From scratch each time, because an interrupted set-up may have left anything behind.
mkdir -p build
rm -f "$stamp"
"$python" -m venv --clear .venv >"$log" 2>&1 ||
  fail "$python cannot make a virtual environment: install its venv module (python$python_is-venv); the log is $log"

echo "setup: installing the dependencies into .venv (one to five minutes; the log is $log)" >&2
# pip takes the CPU build of torch where PIP_FIND_LINKS offers it.
if ! .venv/bin/python -m pip install --disable-pip-version-check --retries 2 -e '.[dev]' 2>&1 | tee "$log" |
  sed -unE 's/^ *(Downloading .*MB\))$/setup: \1/p; s/^(Installing) collected packages.*/setup: \1/p' >&2; then
  if grep -qE 'connection broken|Failed to establish|Max retries exceeded' "$log"; then
    fail "the package index is out of reach: look at the network or the proxy, and repeat; the log is $log"
  fi
  fail "pip could not install the dependencies: $(grep -m 1 ERROR "$log" || echo interrupted); the log is $log"
fi

# Spark looks for its configuration beside itself: this is how a plain `spark-submit` finds this one.
spark=$(.venv/bin/python -c 'import importlib.util as u; print(u.find_spec("pyspark").submodule_search_locations[0])')
ln -sn "$PWD/conf" "$spark/conf"

fetch_jars
echo "setup: done" >&2
