# Everything happens in a virtual environment of its own: .venv, or another place with VENV=path.
VENV ?= .venv
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo $$p; break; }; done)
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help install demo test test-all check docs format lock clean

help:  ## Say what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(INSTALLED)  ## Create the environment and install everything

$(INSTALLED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Facesmith needs Python 3.11, 3.12 or 3.13, and found: $$(python3 --version 2>&1)."; \
		echo "Install one, or say where it is: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || { \
		echo "Facesmith needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) --version 2>&1)."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "$(PYTHON) can't make virtual environments. On Debian or Ubuntu: sudo apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: $(INSTALLED)  ## Do the main job without any photos: about five minutes
	$(BIN)/facesmith demo

# Two workers of one thread each: tests are many small networks, which a second thread hardly helps.
test: $(INSTALLED)  ## Run the fast tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2

test-all: $(INSTALLED)  ## Run all tests
	$(BIN)/python -m pytest

check: $(INSTALLED)  ## Formatter, linter and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(INSTALLED)  ## Build the documentation site into site/; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

format: $(INSTALLED)  ## Format, and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(INSTALLED)  ## Renew requirements.lock within the ranges of pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	(echo "# Exact versions of everything, for Python 3.11 to 3.13 on every system. Update with: make lock"; \
	$(BIN)/uv pip compile pyproject.toml --extra all --extra docs --extra dev --universal --python-version 3.11 --upgrade \
		--no-header --no-annotate --no-emit-index-url -q) > requirements.lock.new
	mv requirements.lock.new requirements.lock

clean:  ## Remove the environment and what tools have left
	rm -rf $(VENV) .mypy_cache .ruff_cache site .pytest_cache .hypothesis
