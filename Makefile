# make repro: install, then run the whole graph.   make test: install, then every test.   make help: all of it.
.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
# Idle OpenMP threads sleep instead of spinning: two busy torch processes slow each other 20 times otherwise.
export OMP_WAIT_POLICY ?= PASSIVE
export PATH := $(CURDIR)/$(BIN):$(PATH)
unexport VIRTUAL_ENV PYTHONPATH

.PHONY: help install repro test check fast exps mend deps format clean

help:  ## This list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: $(PYTHON) is older than Python 3.11; name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.installed: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -r requirements.txt
	@touch $@

.venv/.installed-dev: requirements-dev.txt .venv/.installed
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -r requirements-dev.txt
	@touch $@

install: .venv/.installed  ## Install what the pipeline runs on into .venv

repro: .venv/.installed  ## Install, run the whole graph to data/report/index.html
	dvc repro
	@echo "report: $(CURDIR)/data/report/index.html"

test: .venv/.installed-dev  ## Install, run every test
	python -m pytest

fast: .venv/.installed-dev  ## Tests without the end-to-end ones
	python -m pytest -m "not e2e"

check: .venv/.installed-dev  ## Linter, formatter, types, import layers, fast tests
	ruff check
	ruff format --check
	mypy
	lint-imports
	python -m pytest -m "not e2e"

exps:  ## Experiments side by side: the run, its metrics, the parameters that differ
	@dvc exp show --no-pager --hide-workspace --only-changed --keep '(run|top1|macro_f1|ambiguous_f1)$$' \
	  --drop '.*/|(Created|Executor|State|roi|extra_roi|classes|ece|permutation_.*|translocation)$$'

mend:  ## Remove damaged objects from DVC's cache; then dvc pull, or dvc repro
	@python -m tools.mend_cache

deps: .venv/.installed-dev  ## Rewrite the code dependencies in dvc.yaml and the parameter table in README.md
	python -m tools.code_deps
	python -m tools.parameter_table

format: .venv/.installed-dev  ## Sort imports and format
	ruff check --fix
	ruff format

clean:  ## Remove outputs and unfinished work, keep .venv, DVC's cache and what git tracks
	rm -rf data .unfinished
