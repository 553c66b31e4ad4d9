# Everything a user or a developer types; `make help` lists it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# One's own data: DATA holds images/, train.csv and (for predict) test.csv; RUN is the folder of all results.
DATA ?= data
RUN ?= runs/mine
DATASET ?= cytologia
RECIPE ?= third-place
# Further options of the training, such as TRAIN="--model yolo11n.pt --epochs 50"; --overwrite replaces a finished run
TRAIN ?=
# Further options of the conversion, such as CONVERT="--repair --groups slides.csv"
CONVERT ?=
# Further options of the prediction, such as PREDICT="--imgsz 512"
PREDICT ?=
# Further options of the reproduction, such as REPRODUCE="--epochs 50 --dry-run"
REPRODUCE ?=
# The truth of the test rows, for `make score`.
TRUTH ?= $(DATA)/test_truth.csv

.PHONY: help install demo test lint typecheck audit repair convert train predict score reproduce bench clean
.DEFAULT_GOAL := help

help:  ## List these targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: $(INSTALLED)  ## Make .venv with the tested versions of everything.

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info < (3, 14); sys.exit(0 if ok else \
	"Python 3.11 to 3.13 is needed, and %s is %d.%d; give another with make PYTHON=python3.12." \
	% ("$(PYTHON)", *sys.version_info[:2]))'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(BIN)/cytoyolo info > /dev/null
	@touch $@

demo: $(INSTALLED)  ## Every step on synthetic smears, offline, in minutes: see runs/demo.
	$(BIN)/cytoyolo demo -o runs/demo --overwrite

test: $(INSTALLED)  ## Run the tests.
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: $(INSTALLED)  ## Check style and formatting.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(INSTALLED)  ## Check types.
	$(BIN)/mypy

# A test table that is there is looked at too, for images that leak into it.
TEST := $(if $(wildcard $(DATA)/test.csv),--test $(DATA)/test.csv)

audit: $(DATA)/train.csv | $(INSTALLED)  ## What is wrong with DATA (images/, train.csv): see RUN/audit.
	$(BIN)/cytoyolo audit $(DATA)/train.csv --images $(DATA)/images $(TEST) -o $(RUN)/audit --dataset $(DATASET) --overwrite

repair: $(RUN)/train.csv  ## Mend DATA/train.csv into RUN/train.csv; RUN/changes.csv says how and takes it back.

$(RUN)/train.csv: $(DATA)/train.csv | $(INSTALLED)
	$(BIN)/cytoyolo repair $(DATA)/train.csv --images $(DATA)/images $(TEST) -o $@ --dataset $(DATASET) --overwrite

convert: $(RUN)/dataset/dataset.json  ## DATA (images/, train.csv) to the YOLO folder RUN/dataset.

$(RUN)/dataset/dataset.json: $(DATA)/train.csv | $(INSTALLED)
	$(BIN)/cytoyolo convert $(DATA)/train.csv --images $(DATA)/images $(TEST) -o $(RUN)/dataset --dataset $(DATASET) $(CONVERT) --overwrite

train: $(RUN)/run/weights/best.pt  ## Train by RECIPE into RUN/run; an interrupted run goes on, a finished one is kept.

$(RUN)/run/weights/best.pt: $(RUN)/dataset/dataset.json
	$(BIN)/cytoyolo train $(RUN)/dataset -o $(RUN)/run --recipe $(RECIPE) $(TRAIN)

predict: $(RUN)/submission.csv  ## Predict the rows of DATA/test.csv into RUN/submission.csv.

$(RUN)/submission.csv: $(RUN)/run/weights/best.pt $(DATA)/test.csv
	$(BIN)/cytoyolo predict $< $(DATA)/test.csv --images $(DATA)/images -o $@ --dataset $(DATASET) $(PREDICT) --overwrite

score: $(RUN)/score/score.json  ## Score RUN/submission.csv against TRUTH.

$(RUN)/score/score.json: $(RUN)/submission.csv $(TRUTH)
	$(BIN)/cytoyolo score $(TRUTH) $< -o $(RUN)/score --dataset $(DATASET) --overwrite

reproduce: $(DATA)/train.csv $(DATA)/test.csv | $(INSTALLED)  ## The third place's whole way into RUN; REPRODUCE=--dry-run shows the plan.
	$(BIN)/cytoyolo reproduce $(DATA) -o $(RUN) --dataset $(DATASET) --recipe $(RECIPE) $(REPRODUCE)

$(DATA)/train.csv $(DATA)/test.csv $(TRUTH):
	@echo "$@ is missing; give the folder that holds it with DATA=FOLDER (for the truth: TRUTH=FILE)." >&2; exit 2

# All but curation.py and predict.py, whose trainings take long.
bench: $(INSTALLED)  ## Measure speed, each as a ratio of two ways in one run.
	@for file in $(filter-out benchmarks/curation.py benchmarks/predict.py, $(wildcard benchmarks/[a-z]*.py)); do echo "== $$file"; $(BIN)/python $$file || exit 1; done

clean:  ## Remove .venv and the demo's results; never your data or runs.
	rm -rf $(VENV) runs/demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
