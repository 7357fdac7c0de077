# Every target sets up all it needs: Python 3.11 or later and make are enough.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.ready-bench
DOCS_READY := $(VENV)/.ready-docs
PAGES := README.md CHANGELOG.md CLAUDE.md .env.example benchmarks docs examples seed
COMPILE := $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
    --generate-hashes --no-emit-index-url --no-header --no-annotate --upgrade

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format lock bench docs torture audit clean

help:  ## Show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## Create the virtual environment from the lock file

$(READY): pyproject.toml requirements-dev.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --no-build-isolation --no-deps --editable .
	touch $@

demo: $(READY)  ## Run the main job on the embedded server
	$(BIN)/polymarket-storage demo

test: $(READY)  ## Run the tests, on the embedded server or on DATABASE_URL
	$(BIN)/python -m pytest

check: $(READY)  ## Check format, lint, types and import directions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(BENCH_READY): $(READY) requirements-bench.lock
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-bench.lock
	touch $@

bench: $(BENCH_READY)  ## Measure the package against the bare driver and its peers
	$(BIN)/python -m benchmarks $(ARGS)

$(DOCS_READY): $(READY) requirements-docs.lock
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements-docs.lock
	touch $@

# Whatever the builder says besides its own start and end is a warning; `--clean`, since it does not
# say it again of a page that it has kept.
docs: $(DOCS_READY)  ## Build the documentation into site/; a warning fails it
	@rm -rf build/docs && mkdir -p build/docs && cp -R $(PAGES) build/docs
	@$(BIN)/zensical build --clean --strict >build/docs.log 2>&1 || { cat build/docs.log; exit 1; }
	@! grep -vE '^(Build (started|finished in .*)|No issues found)?$$' build/docs.log

torture: $(READY)  ## Make every fault as often as it takes, and show what was survived
	$(BIN)/python -m torture $(ARGS)

audit:  ## Look the locked dependencies up among PyPI's advisories, where they can be reached
	$(PYTHON) -m venv build/audit
	build/audit/bin/python -m pip install --quiet 'pip-audit>=2.9,<3'
	build/audit/bin/pip-audit --strict --disable-pip --require-hashes \
	    --requirement requirements-dev.lock

format: $(READY)  ## Format the code and mend what the linter can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(READY)  ## Resolve the dependencies anew into the lock files
	$(BIN)/python -m pip install --quiet uv
	$(COMPILE) --group dev --all-extras --output-file requirements-dev.lock
	$(COMPILE) --group bench --constraint requirements-dev.lock \
	    --output-file requirements-bench.lock
	$(COMPILE) --group docs --constraint requirements-dev.lock \
	    --output-file requirements-docs.lock

clean:  ## Remove the virtual environment and the caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .cache build dist site
