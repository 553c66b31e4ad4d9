# Everything a user or a developer types; `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
# Options of pip, such as an index with the CPU builds of PyTorch: see docs/install.md.
PIP_OPTIONS ?=
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Your own data: DATA holds images/, train.csv and (for submit) test.csv. RUN is the folder of all results.
# Give a variable in each call, or write it into a file local.mk beside this one: DATA := slides
-include local.mk
DATA ?= data
RUN ?= runs/mine
DATASET ?= cytologia
RECIPE ?= third-place
# Further options of a step, such as TRAIN="--model yolo11n.pt --epochs 50". With other options than before a step is done
# again; a finished training is only replaced with TRAIN=--overwrite.
REPAIR ?=
CONVERT ?=
TRAIN ?=
SUBMIT ?=
REPRODUCE ?=
# The truth of the test rows, for `make score`.
TRUTH ?= $(DATA)/test_truth.csv

one_word = $(if $(filter 1,$(words $($1))),,$(error $1 is '$($1)'. Make takes only names without blanks; rename it, or \
call cytoyolo itself))
$(foreach name,DATA RUN DATASET RECIPE TRUTH,$(call one_word,$(name)))

.PHONY: help install demo docs test test-all coverage dist lint typecheck audit repair convert train submit score reproduce bench clean again
# Each step uses all cores, and an input that is missing must be told before a long step begins.
.NOTPARALLEL:
.DEFAULT_GOAL := help

help:  ## List these targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: $(INSTALLED)  ## Make .venv with the tested versions of everything.

$(INSTALLED): pyproject.toml constraints.txt
	@"$(PYTHON)" -c "" 2> /dev/null || { echo "$(PYTHON) can't be run here; give a Python of 3.11 to 3.13 with \
	make PYTHON=python3.12." >&2; exit 1; }
	@"$(PYTHON)" requirements/check.py "$(PYTHON)"
	@"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_OPTIONS) -e '.[dev]' || { \
	echo "The packages could not be installed; the lines above say why. Behind a proxy, set HTTPS_PROXY; without a network, see \
	docs/offline.md." >&2; exit 1; }
	@$(BIN)/cytoyolo info > /dev/null
	@touch $@

demo: $(INSTALLED)  ## Every step on synthetic smears, offline, in minutes: see runs/demo.
	$(BIN)/cytoyolo demo -o runs/demo --overwrite

# A run whose worker dies ends at once and names the test; a new worker would leave it waiting for ever.
PYTEST = $(BIN)/python -m pytest --numprocesses auto --dist loadfile --max-worker-restart 0
test: $(INSTALLED)  ## Run the tests, but not the slow ones.
	$(PYTEST) -m 'not slow'

test-all: $(INSTALLED)  ## Run all tests, also the slow ones.
	TEST_ALL=1 $(PYTEST)

coverage: $(INSTALLED)  ## Which lines no quick test runs: a table, and htmlcov/index.html.
	$(PYTEST) -m 'not slow' --cov=cytoyolo --cov-report=term:skip-covered --cov-report=html

dist: $(INSTALLED)  ## Build the source archive and the wheel into dist/.
	rm -rf dist build
	$(BIN)/python -c "from setuptools import build_meta as b; b.build_sdist('dist'); b.build_wheel('dist')" > /dev/null
	@ls -l dist

lint: $(INSTALLED)  ## Check style and formatting.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(INSTALLED)  ## Check types.
	$(BIN)/mypy

docs: $(INSTALLED)  ## Make the site of docs/ in runs/docs, offline: open runs/docs/index.html.
	$(BIN)/python -m sphinx -q -n -W --keep-going -b html -d runs/.docs docs runs/docs

# A test table that is there is looked at too, for images that leak into it.
TEST := $(wildcard $(DATA)/test.csv)
TEST_OPTION := $(if $(TEST),--test $(TEST))
# What `make repair` wrote, or writes in this call, is converted; else the table as it was given.
LABELS := $(if $(or $(filter repair,$(MAKECMDGOALS)),$(wildcard $(RUN)/repaired.csv)),$(RUN)/repaired.csv,$(DATA)/train.csv)

audit_call = audit $(DATA)/train.csv --images $(DATA)/images $(TEST_OPTION) -o $(RUN)/audit --dataset $(DATASET) --overwrite
repair_call = repair $(DATA)/train.csv --images $(DATA)/images $(TEST_OPTION) -o $(RUN)/repaired.csv --dataset $(DATASET) $(REPAIR) --overwrite
convert_call = convert $(LABELS) --images $(DATA)/images $(TEST_OPTION) -o $(RUN)/dataset --dataset $(DATASET) $(CONVERT) --overwrite
train_call = train $(RUN)/dataset -o $(RUN)/run --recipe $(RECIPE) $(TRAIN)
submit_call = submit $(RUN)/run/weights/best.pt $(DATA)/test.csv --images $(DATA)/images -o $(RUN)/submission.csv --dataset $(DATASET) $(SUBMIT) --overwrite
score_call = score $(TRUTH) $(RUN)/submission.csv -o $(RUN)/score --dataset $(DATASET) --overwrite

# RUN/.calls/STEP holds the call that a step was done with. The step is done again where the call of now is another one
# (the option --overwrite apart), and where a file that its options name has changed.
call_of = $(filter-out --overwrite,$($1_call))
call_before = $(strip $(shell cat $(RUN)/.calls/$1 2>/dev/null))
differs = $(subst [$(strip $1)],,[$(strip $2)])
again_if_changed = $(if $(call call_before,$1),$(if $(call differs,$(call call_before,$1),$(call call_of,$1)),again)) \
	$(wildcard $(filter %.csv %.yaml %.yml,$(DATASET) $2))
define do
	$(BIN)/cytoyolo $($1_call)
	@mkdir -p $(RUN)/.calls && printf '%s\n' '$(subst ','\'',$(call call_of,$1))' > $(RUN)/.calls/$1
endef

audit: $(DATA)/train.csv | $(INSTALLED)  ## What is wrong with DATA (images/, train.csv): see RUN/audit.
	$(BIN)/cytoyolo $(audit_call)

repair: $(RUN)/repaired.csv  ## Mend DATA/train.csv into RUN/repaired.csv, which convert then takes; RUN/changes.csv says how.

$(RUN)/repaired.csv: $(DATA)/train.csv $(TEST) $(call again_if_changed,repair,$(REPAIR)) | $(INSTALLED)
	$(call do,repair)

convert: $(RUN)/dataset/dataset.json  ## DATA (images/, train.csv) to the YOLO folder RUN/dataset.

$(RUN)/dataset/dataset.json: $(LABELS) $(TEST) $(call again_if_changed,convert,$(CONVERT)) | $(INSTALLED)
	$(call do,convert)

train: $(RUN)/run/weights/best.pt  ## Train by RECIPE into RUN/run; an interrupted run goes on, a finished one is kept.

$(RUN)/run/weights/best.pt: $(RUN)/dataset/dataset.json $(call again_if_changed,train,$(RECIPE) $(TRAIN)) $(if $(filter --overwrite,$(TRAIN)),again)
	$(call do,train)

submit: $(RUN)/submission.csv  ## Predict the rows of DATA/test.csv into RUN/submission.csv.

$(RUN)/submission.csv: $(DATA)/test.csv $(RUN)/run/weights/best.pt $(call again_if_changed,submit,$(SUBMIT))
	$(call do,submit)

score: $(RUN)/score/score.json  ## Score RUN/submission.csv against TRUTH.

$(RUN)/score/score.json: $(TRUTH) $(RUN)/submission.csv $(call again_if_changed,score)
	$(call do,score)

reproduce: $(DATA)/train.csv $(DATA)/test.csv | $(INSTALLED)  ## The third place's whole way into RUN; REPRODUCE=--dry-run shows the plan.
	$(BIN)/cytoyolo reproduce $(DATA) -o $(RUN) --dataset $(DATASET) --recipe $(RECIPE) $(REPRODUCE)

$(DATA)/train.csv $(DATA)/test.csv $(TRUTH):
	@echo "$@ is missing; give the folder that holds it with DATA=FOLDER (for the truth: TRUTH=FILE)." >&2; exit 2

# All but curation.py, predict.py and tiled_training.py, whose trainings take long, and review.py, which needs a browser.
# Benchmarks that need nothing but the package. The others need a folder to work in, weights or hours.
MEASURED = $(filter-out benchmarks/curation.py benchmarks/review.py, \
  $(shell grep -L 'required=True\|add_argument."[a-z]' benchmarks/[a-z]*.py))
bench: $(INSTALLED)  ## Measure speed, each as a ratio of two ways in one run.
	@for file in $(MEASURED); do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean:  ## Remove .venv and the demo's results; never your data or runs.
	rm -rf $(VENV) runs/demo build dist htmlcov .coverage *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
