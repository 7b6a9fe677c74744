# The commands of this project; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup train unit test check cluster cluster-stop test-cluster pack jars faults faults-cluster bench data docs
# Variables that another Spark or Python on this machine may have set would bypass .venv.
unexport SPARK_HOME SPARK_CONF_DIR PYTHONPATH PYTHONHOME PYSPARK_PYTHON PYSPARK_DRIVER_PYTHON
PYTHON ?=
ARGS ?=
BIN := .venv/bin
UNIT := not spark and not submit and not processes and not faults and not cluster
# The activated environment, for a command that starts Spark. The shell becomes the command, which a signal to make reaches.
IN_VENV := exec env PATH="$(CURDIR)/$(BIN):$$PATH" VIRTUAL_ENV="$(CURDIR)/.venv"

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

setup: ## check Java and Python, make .venv with the pinned dependencies
	@PYTHON="$(PYTHON)" bash conf/setup.sh

train: setup ## the main job on the embedded data: make train ARGS="model=logistic"
	@$(IN_VENV) spark-submit pipelines/train.py $(ARGS)

unit: setup ## the tests that need neither Spark nor other processes (half a minute)
	@$(IN_VENV) python -m pytest -n 2 --dist worksteal -m "$(UNIT)" $(ARGS)

test: setup ## all tests but those on clusters, the long faults and the benchmarks
	@$(IN_VENV) python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup ## check format, lint and types
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

cluster: setup ## start a small Hadoop here: HDFS and YARN, each daemon a process
	@$(IN_VENV) python -m tests.cluster start

cluster-stop: setup ## stop it
	@$(IN_VENV) python -m tests.cluster stop

test-cluster: setup pack jars ## tests on a real HDFS, YARN and standalone cluster, on this machine
	@$(IN_VENV) python -m pytest -n 2 --dist loadfile -m "cluster and not faults" $(ARGS)

jars: setup ## fetch the JARs of the daemons that tests on clusters start
	@$(IN_VENV) python -m tests.cluster fetch

pack: setup ## the environment for executors without the packages, for spark-submit --archives
	@PYTHON="$(PYTHON)" bash conf/pack.sh

faults: setup ## many seeded kills of every stage (long)
	@$(IN_VENV) python -m pytest -n 2 -m "faults and not cluster" $(ARGS)

faults-cluster: setup pack jars ## daemons killed, disks filled, networks cut (long)
	@$(IN_VENV) python -m pytest -m "faults and cluster" $(ARGS)

bench: setup data ## measure the figures of the README: tables and one line of JSON
	@$(IN_VENV) python -m tests.benchmarks $(ARGS)

data: setup ## download the data sets into data/ and verify their checksums
	@$(BIN)/python data/fetch.py

# The first `make docs` installs its tools, in a few seconds: training and testing do not need them.
docs: setup ## build the documentation into build/site; a warning or a dead link is an error
	@[ .venv/.docs -nt pyproject.toml ] || { echo "docs: installing MkDocs (the log is build/docs.log)" >&2; \
	  $(BIN)/python -m pip install --disable-pip-version-check -e '.[docs]' >build/docs.log 2>&1 && touch .venv/.docs; }
	@$(BIN)/python docs/images/road_of_the_data.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "docs: open build/site/index.html" >&2
