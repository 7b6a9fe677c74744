#!/usr/bin/env bash
# Makes .venv with the pinned dependencies, after looking whether Python and Java are there. Whatever is missing is said
# in one line, with exit status 2. Called by `make setup`, from the project's folder.
set -euo pipefail

fail() { echo "setup: $*" >&2; exit 2; }

# An older, newer or missing number N, for a sentence: age N WANTED
age() { if [ "$1" -lt "$2" ]; then echo "too old"; else echo "too new"; fi; }

python=${PYTHON:-python3.11}
# Running it, not looking for it: pyenv leaves commands that exist and only say that they do not.
found=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
  fail "$python is not found: install Python 3.11, or name one: make setup PYTHON=/path/to/python3.11"
[ "$found" = 3.11 ] ||
  fail "$python is Python $found, $(age "${found#*.}" 11): 3.11 is needed; name one: make setup PYTHON=/path/to/python3.11"

# As Spark itself chooses it.
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
said=$("$java" -version 2>&1) ||
  fail "$java is not found: install a Java 17 runtime (openjdk-17-jre-headless), or set JAVA_HOME to one"
# Java 8 calls itself 1.8.
found=$(sed -nE 's/.*version "(1\.)?([0-9]+).*/\2/p' <<<"$said" | head -n 1)
[ "${found:=0}" = 17 ] || fail "$java is Java $found, $(age "$found" 17): 17 is needed; set JAVA_HOME to one"

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

# From nothing each time: what an interrupted set-up left behind is no foundation.
mkdir -p build
rm -f "$stamp"
"$python" -m venv --clear .venv >"$log" 2>&1 ||
  fail "$python cannot make a virtual environment: install its venv module (python3.11-venv); the log is $log"

echo "setup: installing the dependencies into .venv (one to five minutes; the log is $log)" >&2
# pip takes the CPU build of torch where PIP_FIND_LINKS offers it.
if ! .venv/bin/python -m pip install --disable-pip-version-check --retries 2 -e '.[dev]' 2>&1 | tee "$log" |
  sed -unE 's/^ *(Downloading .*MB\))$/setup: \1/p; s/^(Installing) collected packages.*/setup: \1/p' >&2; then
  if grep -qE 'connection broken|Failed to establish|Max retries exceeded' "$log"; then
    fail "the package index is out of reach: look at the network or the proxy, and repeat; the log is $log"
  fi
  fail "pip could not install the dependencies: $(grep -m 1 ERROR "$log" || echo interrupted); the log is $log"
fi

# Spark looks for its configuration beside itself: this is how a plain `spark-submit` finds ours.
spark=$(.venv/bin/python -c 'import importlib.util as u; print(u.find_spec("pyspark").submodule_search_locations[0])')
ln -sn "$PWD/conf" "$spark/conf"

fetch_jars
echo "setup: done" >&2
