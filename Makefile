# make run   sets everything up and opens the app
# make test  sets everything up and runs the tests

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8501
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run test test-long check fix messages model results bench clean

help:
	@echo "make run | test | check | fix | test-long | messages | model | results | bench | clean"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run-ready: requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

$(VENV)/.test-ready: requirements-dev.txt $(VENV)/.run-ready
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@

setup: $(VENV)/.run-ready

run: setup
	$(BIN)/python -m streamlit run app.py --server.port $(PORT) $(ARGS)

test: $(VENV)/.test-ready
	$(BIN)/python -m pytest -m "not slow"

test-long: $(VENV)/.test-ready
	$(BIN)/python -m pytest

check: $(VENV)/.test-ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -m "not slow and not browser" tests/unit tests/conformance

fix: $(VENV)/.test-ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

messages: $(VENV)/.test-ready
	$(BIN)/python -m tools.extract_messages

# Everything that ships and is computed, from seeds (about an hour on two cores).
model: $(VENV)/.test-ready
	$(BIN)/python -m tools.train_scene_moe stage1
	$(BIN)/python -m tools.train_scene_moe stage2
	$(BIN)/python -m tools.build_reference
	$(BIN)/python -m tools.choose_defaults
	$(BIN)/python -m tools.calibrate_gate
	$(BIN)/python -m tools.choose_baselines
	$(BIN)/python -m tools.build_gallery
	$(BIN)/python -m tools.build_suites
	$(BIN)/python -m tools.results

# docs/results.md, the model card's tables, sample_data/evaluation/ (some ten minutes).
results: $(VENV)/.test-ready
	$(BIN)/python -m tools.results
	$(BIN)/python -m tools.measure_upkeep
	$(BIN)/r2t2 ablate --limit 1600 --out docs/ablations.md

# Timings as ratios, in one run.
bench: $(VENV)/.run-ready
	$(BIN)/python -m benchmarks.rerouting --out build/benchmark.json

clean:
	rm -rf build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
