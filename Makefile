# Targets print one line of help each; `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help setup test verify fmt
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[trainer,dev]'
	touch $(STAMP)

setup: $(STAMP) ## Install everything into .venv

test: setup ## Set up and run all tests
	$(BIN)/python -m pytest

verify: setup ## Format, lint, types
	$(BIN)/ruff format --check operator trainer tests
	$(BIN)/ruff check operator trainer tests
	$(BIN)/mypy

fmt: setup ## Format and fix
	$(BIN)/ruff format operator trainer tests
	$(BIN)/ruff check --fix operator trainer tests
