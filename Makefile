# make repro: install, then run the whole graph.   make test: install, then every test.   make help: all of it.
.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= python3
BIN := .venv/bin
# Idle OpenMP threads sleep instead of spinning: two busy torch processes slow each other 20 times otherwise.
export OMP_WAIT_POLICY ?= PASSIVE
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Container images set the last: hundreds of processes would compile all code anew, and pytest all its tests.
unexport VIRTUAL_ENV PYTHONPATH PYTHONDONTWRITEBYTECODE

# What pip installs: every package at the version and with the hashes of the lock. On a machine whose index has other
# builds: make LOCK=requirements.txt HASHES= ...
LOCK ?= requirements.lock
LOCK_DEV ?= $(patsubst requirements%,requirements-dev%,$(LOCK))
HASHES ?= --require-hashes
# make CPU=1: PyTorch without CUDA. make WITHOUT="serve onnx fastsam triton": without these parts. See docs/install.md.
# Both are kept in .venv, and hold until they are named again.
-include .venv/options.mk
# Some systems export another CPU.
ifeq ($(filter 0 1,$(CPU)),)
CPU := $(KEPT_CPU)
endif
WITHOUT ?= $(KEPT_WITHOUT)
CPU_INDEX ?= https://download.pytorch.org/whl/cpu
INSTALLER ?= auto
INSTALL := $(BIN)/python -m tools.install --installer $(INSTALLER) $(if $(HASHES),,--no-hashes) \
  $(if $(filter 1,$(CPU)),--cpu $(CPU_INDEX))
COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet $(UPGRADE)
KILLS ?= 200

.PHONY: help install repro plan grid test check fast exps accept mend figures docs deps lock licences audit torture fuzz bench format clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s%s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: Python 3.11 or newer is needed, and $(PYTHON) is not; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "error: $(PYTHON) cannot make environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }

.venv/.installed: $(LOCK) | $(BIN)/python
	$(INSTALL) $(LOCK) --without $(WITHOUT)
	@printf 'KEPT_CPU := %s\nKEPT_WITHOUT := %s\n' '$(CPU)' '$(WITHOUT)' > .venv/options.mk
	@touch $@

.venv/.installed-dev: $(LOCK_DEV) .venv/.installed
	$(INSTALL) $(LOCK_DEV)
	@touch $@

ifneq ($(CPU) $(WITHOUT),$(KEPT_CPU) $(KEPT_WITHOUT))
.PHONY: .venv/.installed
endif

install: .venv/.installed  ## Install what the pipeline runs on into .venv

repro: .venv/.installed  ## Install, run the whole graph to data/report/index.html
	dvc repro || { python -m tools.mend_records && dvc repro; }
	@python -m pipeline cost | tail -n 1
	@echo "report: $(CURDIR)/data/report/index.html"

plan: .venv/.installed  ## What will run, why, how long, downloads, disk: make plan S="roi=deit seed=1"
	@python -m pipeline plan $(addprefix -S ,$(S))

grid: .venv/.installed  ## Runs side by side, then the study: make grid GPUS=0,1,2,3 (JOBS=2: two on each), or JOBS=4 on the CPU
	@python -m tools.grid --gpus "$(GPUS)" --jobs $(or $(JOBS),1)

test: .venv/.installed-dev  ## Install, run every test
	python -m pytest

fast: .venv/.installed-dev  ## Tests that start no graph, cluster, server or torch of their own and draw no report: three minutes
	python -m pytest -m "not e2e and not slow"

check: .venv/.installed-dev  ## Linter, formatter, types, import layers, fast tests
	ruff check
	ruff format --check
	mypy
	lint-imports
	python -m pytest -m "not e2e and not slow"

exps:  ## Experiments side by side: the run, its metrics, the parameters that differ
	@dvc exp show --no-pager --hide-workspace --only-changed --keep '(run|top1|macro_f1|ambiguous_f1)$$' \
	  --drop '.*/|(Created|Executor|State|roi|extra_roi|classes|ece|permutation_.*|translocation)$$'

accept: .venv/.installed  ## Tell DVC that a change of code moved no byte, if a small study shows it (BASE=commit)
	python -m tools.accept $(if $(BASE),--base $(BASE))

mend:  ## Mend DVC's records and cache after a crash or a failing disk; then dvc repro, or dvc pull
	@python -m tools.mend_records || true
	@python -m tools.mend_cache

figures: .venv/.installed-dev  ## Draw the pictures of README and docs, write README's numbers, after make repro
	python -m tools.readme_figures
	python -m tools.real_photos_figure
	python -m tools.gallery

docs: .venv/.installed-dev  ## Build the documentation site; a warning or a broken link fails
	python -m sphinx -q -W --keep-going -j auto -d build/doctrees docs build/site
	@echo "site: $(CURDIR)/build/site/index.html"

deps: .venv/.installed-dev  ## Rewrite the parameter table in docs/graph.md
	python -m tools.parameter_table

lock: .venv/.installed-dev  ## Pin what requirements*.txt ask for, with hashes, for every platform (UPGRADE=--upgrade: newest)
	$(COMPILE) requirements.txt --output-file requirements.lock
	$(COMPILE) requirements-dev.txt --constraint requirements.lock --output-file requirements-dev.lock
ifeq ($(CPU),1)
	sed -nE 's/^(torch|torchvision)(==[^ ]+).*/\1\2+cpu/p' requirements.txt | \
	  $(COMPILE) - --no-deps --default-index $(CPU_INDEX) --output-file requirements-cpu.lock
endif

licences: .venv/.installed-dev  ## Rewrite docs/licences.md from what is installed
	python -m tools.licences

audit: .venv/.installed-dev  ## Look for known vulnerabilities of the locked versions; asks PyPI
	pip-audit --strict --disable-pip --require-hashes -r requirements.lock

torture: .venv/.installed-dev  ## Kill the graph KILLS=200 times and compare; an hour or more, goes on where it was
	nice -n 10 python -m tests.torture --kills $(KILLS)

fuzz: .venv/.installed-dev  ## Fuzz the readers of files for an hour; findings lie in .unfinished/fuzz
	@tools/fuzz.sh

bench: .venv/.installed  ## Measure every part beside a plain alternative; a quarter of an hour on two cores
	python -m benchmarks $(BENCH)

format: .venv/.installed-dev  ## Sort imports and format
	ruff check --fix
	ruff format

clean:  ## Remove outputs and unfinished work, keep .venv, DVC's cache and what git tracks
	rm -rf data build .unfinished
