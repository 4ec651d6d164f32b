# All commands use their own virtual environment: .venv, or another one with VENV=path.
VENV ?= .venv
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$p; break; }; done)
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help install demo test test-all check docs format lock clean

help:  ## List these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(INSTALLED)  ## Create the environment and install Facesmith with all extras

$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Facesmith needs Python 3.11, 3.12 or 3.13, but found: $$(python3 --version 2>&1)."; \
		echo "Install one, or pass its path: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || { \
		echo "Facesmith needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) --version 2>&1)."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) can't create virtual environments. On Debian or Ubuntu: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: $(INSTALLED)  ## Run the whole pipeline without photos: about five minutes
	$(BIN)/facesmith demo

# Two workers with one thread each: the tests use small networks, which a second thread hardly speeds up.
# A file's tests run in one worker, so that its fixtures are made once.
test: $(INSTALLED)  ## Run the fast tests; those of the studio page need Chromium
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-all: $(INSTALLED)  ## Run all tests, including the slow ones
	$(BIN)/python -m pytest

check: $(INSTALLED)  ## Check formatting, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(INSTALLED)  ## Build the documentation site into site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

format: $(INSTALLED)  ## Format the code, and fix what the linter can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(INSTALLED)  ## Update requirements.lock within the version ranges of pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	(echo "# Exact versions of all packages, for Python 3.11 to 3.13 on every system. Update with: make lock"; \
	$(BIN)/uv pip compile pyproject.toml --extra all --extra docs --extra dev --universal --python-version 3.11 --upgrade \
		--no-header --no-annotate --no-emit-index-url -q) > requirements.lock.new
	mv requirements.lock.new requirements.lock

clean:  ## Remove the environment and the caches of the tools
	rm -rf $(VENV) .mypy_cache .ruff_cache site .pytest_cache .hypothesis
