# make eval     compare systems on a judged collection (DATASET= ENCODER= SYSTEMS= MEASURES= BASELINE= ARGS=--dry-run)
# make test     lint, types and all tests
# make test-integrations   the tests of every stack a filter plugs into, and of engines, their libraries installed
# make test-cluster   the tests of encoding and search on Ray and Spark, with both installed
# make docs     the documentation as a site, in build/site; no network needed once it is installed
# make check    lint, types, and what the package depends on
# make coverage   all tests, and how much of the package they run (90 % at least; ARGS=tests/test_store.py: of these alone)
# make bench    time the parts against named peers (AREAS="encode sparse", or the long ones: scale msmarco)
# make clean    remove caches and everything in indexes/ that can be built again

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

option = $(if $($(1)),$(2) "$($(1))")

.PHONY: eval test test-integrations test-cluster docs check coverage bench setup clean
.DEFAULT_GOAL := eval

eval: $(READY)
	$(BIN)/rarityir eval $(call option,DATASET,--dataset) $(call option,ENCODER,--encoder) $(call option,SYSTEMS,--systems) \
	    $(call option,MEASURES,--measures) $(call option,BASELINE,--baseline) $(ARGS)

test: check $(VENV)/.docs
	$(BIN)/python -m pytest -n auto --dist worksteal

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m evals.audit

coverage: $(VENV)/.docs
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -n auto --dist worksteal $(ARGS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --skip-covered --sort cover --fail-under 90

test-integrations: $(VENV)/.integrations
	$(BIN)/python -m pytest tests/integrations tests/indexes

test-cluster: $(VENV)/.cluster
	$(BIN)/python -m pytest tests/cluster

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --builder html --conf-dir docs --doctree-dir build/doctrees --fail-on-warning --keep-going --quiet . build/site
	@echo build/site/index.html

bench: $(READY)
	$(BIN)/python -m evals.bench $(AREAS)

setup: $(READY)

# Torch goes first and pinned; where pip is pointed at CPU wheels of it, nothing later brings the CUDA packages in.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	touch $@

$(VENV)/.integrations: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev,integrations]"
	touch $@

$(VENV)/.cluster: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev,cluster,spark]"
	touch $@

$(VENV)/.docs: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev,docs]"
	touch $@

clean:
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find indexes -mindepth 1 ! -name README.md -delete
	find rarityir tests evals -name __pycache__ -type d -prune -exec rm -rf {} +
