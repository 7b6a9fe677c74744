# Every habit of this project is one command: `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help setup train test check cluster faults bench data
# What another Spark or Python on this machine may have set would lead past .venv.
unexport SPARK_HOME SPARK_CONF_DIR PYTHONPATH PYTHONHOME PYSPARK_PYTHON PYSPARK_DRIVER_PYTHON
PYTHON ?= python3.11
ARGS ?=
BIN := .venv/bin
# The activated environment, for a command that starts Spark.
IN_VENV := PATH="$(CURDIR)/$(BIN):$$PATH" VIRTUAL_ENV="$(CURDIR)/.venv"

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

setup: ## check Java and Python, make .venv with the pinned dependencies
	@PYTHON="$(PYTHON)" bash conf/setup.sh

train: setup ## the main job on the embedded data: make train ARGS="model=logistic"
	@$(IN_VENV) spark-submit pipelines/train.py $(ARGS)

test: setup ## all tests but those on clusters, the long faults and the benchmarks
	@$(IN_VENV) python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: setup ## format, lint and types
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

cluster: setup ## tests on a real HDFS and a real standalone cluster, on this machine
	@$(IN_VENV) python -m pytest -m cluster $(ARGS)

faults: setup ## many seeded kills of every stage (long)
	@$(IN_VENV) python -m pytest -n 2 -m faults $(ARGS)

bench: setup data ## the figures of the README: tables and one JSON line
	@$(IN_VENV) python -m tests.benchmarks $(ARGS)

data: setup ## bring 20 Newsgroups and R8 into data/, checksums verified
	@$(BIN)/python data/fetch.py
