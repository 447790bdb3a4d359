# MTOR's everyday commands. Each makes the virtual environment first if it has to, and installs
# again only after pyproject.toml, constraints.txt or what Jupyter must find has changed.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

# Every target installs the versions that were seen to work together. A plain `pip install .`
# is free to choose others.
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
PYTEST := $(BIN)/python -m pytest
# The weights of the small built-in models, kept in the user's data directory; does nothing when
# they are there.
PULL   := $(BIN)/mtor pull smollm2 whisper-tiny-en minilm

EXTRAS_lab  := builtin,lab,speech
EXTRAS_test := test
LAB    := $(VENV)/.installed-lab
TEST   := $(VENV)/.installed-test
# An editable install does not place these, so that is done below.
SHARED := $(wildcard kernelspec/mtor/* jupyter-config/jupyter_server_config.d/*)

.PHONY: help lab demo test quick bench lint clean

help:
	@echo "make lab    start JupyterLab with the MTOR kernel and a realm of your own"
	@echo "make demo   the same without a browser: run a notebook and print its answers"
	@echo "make test   lint, type check and run every test"
	@echo "make quick  only the quick tests"
	@echo "make bench  measure speed and memory"
	@echo "make lint   ruff, mypy and the layers"
	@echo "make clean  remove the virtual environment and all caches"

lab: $(LAB)
	$(PULL)
	$(BIN)/jupyter lab

demo: $(LAB)
	$(PULL)
	$(BIN)/mtor demo

test: lint
	$(PULL)
	$(PYTEST)

quick: $(TEST)
	$(PYTEST) -m "not slow and not fault and not browser"

bench: $(TEST)
	$(PULL)
	$(BIN)/python -m benchmarks

lint: $(TEST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

clean:
	rm -rf $(VENV) build dist .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-%: pyproject.toml constraints.txt $(SHARED) | $(BIN)/python
	@echo "Installing MTOR into $(VENV); the first time takes a minute or two."
	$(PIP) --editable '.[$(EXTRAS_$*)]'
	$(BIN)/jupyter kernelspec install kernelspec/mtor --sys-prefix --name mtor
	mkdir -p $(VENV)/etc/jupyter/jupyter_server_config.d
	cp jupyter-config/jupyter_server_config.d/mtor_kernel.json $(VENV)/etc/jupyter/jupyter_server_config.d/
	touch $@
