# MTOR's everyday commands. Each makes the virtual environment first if it has to, and installs
# again only after pyproject.toml, constraints.txt or what Jupyter must find has changed.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

# Every target installs the versions that were seen to work together. A plain `pip install .`
# is free to choose others.
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
PYTEST := $(BIN)/python -m pytest
# More processes than cores, each with whole files: the tests wait a good part of their time.
CORES  := $(shell getconf _NPROCESSORS_ONLN)
SPREAD := --dist loadfile --numprocesses
# The weights of the small built-in models, kept in the user's data directory; does nothing when
# they are there.
PULL   := $(BIN)/mtor pull smollm2 whisper-tiny-en minilm

EXTRAS_lab  := builtin,lab,speech
EXTRAS_hub  := builtin,hub,lab,speech
EXTRAS_test := test
LAB    := $(VENV)/.installed-lab
HUB    := $(VENV)/.installed-hub
# The Hub's proxy, by npm.
PROXY  := tools/proxy/node_modules/.package-lock.json
TEST   := $(VENV)/.installed-test
# An editable install does not place these, so that is done below.
SHARED := $(wildcard kernelspec/mtor/* jupyter-config/jupyter_server_config.d/*)
# The panel is built from these by the install, with a Node of its own where there is none.
PANEL  := $(shell find labextension/src labextension/style labextension/schema -type f) \
          labextension/package.json labextension/yarn.lock
BUILT  := mtor_kernel/labextension
JLPM   := cd labextension && PATH="$(abspath $(BIN)):$$PATH" jlpm
MODULES := labextension/node_modules/.yarn-state.yml

# Where a machine writes no byte code, each process of the tests would compile all of MTOR anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help lab demo binder hub proxy test quick bench lint ngram clean

help:
	@echo "make lab    start JupyterLab with the MTOR kernel and a realm of your own"
	@echo "make demo   the same without a browser: run a notebook and print its answers"
	@echo "make hub    start a JupyterHub with two users, a sysop and a realm for them"
	@echo "make binder build and open what Binder would, in build/binder"
	@echo "make test   lint, type check and run every test"
	@echo "make quick  only the quick tests"
	@echo "make bench  measure speed and memory"
	@echo "make lint   ruff, mypy and the layers"
	@echo "make ngram  write the panel's types anew from the protocol"
	@echo "make clean  remove the virtual environment and all caches"

lab: $(LAB)
	$(PULL)
	$(BIN)/jupyter lab

demo: $(LAB)
	$(PULL)
	$(BIN)/mtor demo

hub: $(HUB) $(PROXY)
	$(PULL)
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/jupyterhub -f deploy/local/jupyterhub_config.py

proxy: $(PROXY)

# What Binder would do, as far as that goes without a container engine. ARGS=--check measures it,
# ARGS=--keep takes what was built before.
binder: $(LAB)
	$(BIN)/python -m tools.binder build/binder $(ARGS)

test: lint $(PROXY)
	$(PULL)
	$(JLPM) test
	$(PYTEST) $(SPREAD) $$(($(CORES) + 1))

quick: $(TEST)
	$(PYTEST) $(SPREAD) $$(($(CORES) + 2)) -m "not slow and not fault and not browser"

bench: $(TEST)
	$(PULL)
	$(BIN)/python -m benchmarks

lint: $(TEST) $(MODULES)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(JLPM) lint

# The build of the panel has made it, unless the panel was there already.
$(MODULES): labextension/yarn.lock | $(TEST)
	$(JLPM) install --immutable
	touch $@

# Without npm the tests of the Hub are skipped, with a reason.
$(PROXY): tools/proxy/package.json tools/proxy/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix tools/proxy --no-audit --no-fund --loglevel error; \
	else echo "There is no npm here: JupyterHub's proxy is not installed."; fi

# The panel's types, from the protocol.
ngram: $(MODULES)
	$(BIN)/python -m mtor_kernel.protocol.schema > labextension/ngram.json
	$(JLPM) ngram

clean:
	rm -rf $(VENV) $(BUILT) labextension/lib labextension/node_modules tools/proxy/node_modules .hub build dist .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-%: pyproject.toml constraints.txt $(SHARED) $(PANEL) | $(BIN)/python
	@echo "Installing MTOR into $(VENV); the first time takes a minute or two."
	@if [ -n "$$(find $(PANEL) -newer $(BUILT)/package.json 2>/dev/null)" ]; then rm -rf $(BUILT); fi
	@# The link that is laid below: pip would take the old panel away through it, and write into the tree.
	rm -rf $(VENV)/share/jupyter/labextensions/mtor-realm
	$(PIP) --editable '.[$(EXTRAS_$*)]'
	$(BIN)/jupyter kernelspec install kernelspec/mtor --sys-prefix --name mtor
	mkdir -p $(VENV)/etc/jupyter/jupyter_server_config.d
	cp jupyter-config/jupyter_server_config.d/mtor_kernel.json $(VENV)/etc/jupyter/jupyter_server_config.d/
	rm -rf $(VENV)/share/jupyter/labextensions/mtor-realm
	mkdir -p $(VENV)/share/jupyter/labextensions
	ln -s "$(CURDIR)/$(BUILT)" $(VENV)/share/jupyter/labextensions/mtor-realm
	mkdir -p $(VENV)/share/jupyter/lab/settings/overrides.d
	cp lab-settings/overrides.d/mtor.json $(VENV)/share/jupyter/lab/settings/overrides.d/
	touch $@
