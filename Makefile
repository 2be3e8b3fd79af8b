# Everything a developer does. Needs Python 3.11 or newer and make; the rest is installed into .venv.

.DEFAULT_GOAL := help
.PHONY: help venv demo test check coverage bench bench-peers bench-scale faults stress sim docs reference lock clean format

# The first interpreter that is new enough; or say which: make PYTHON=/path/to/python3.12 test
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
    $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
PY := $(BIN)/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet
# Hashes say what is installed; wheels only, so that nobody needs a compiler.
LOCKED := install --require-hashes --only-binary :all:
PYTEST := $(PY) -m pytest
SOURCES := $(wildcard src tests benchmarks examples)

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.venv/.created:
	@test -n "$(PYTHON)" || { echo "mreza needs Python 3.11 or newer; say make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	@touch $@

# The package itself is installed editable, so that a change of the source needs no new installation.
.venv/.runtime: .venv/.created requirements/runtime.txt pyproject.toml
	$(PIP) $(LOCKED) -r requirements/runtime.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.test: .venv/.runtime requirements/test.txt
	$(PIP) $(LOCKED) -r requirements/test.txt
	@touch $@

.venv/.docs: .venv/.created requirements/docs.txt
	$(PIP) $(LOCKED) -r requirements/docs.txt
	@touch $@

venv: .venv/.test .venv/.docs ## Create or renew .venv with all that is needed to develop

# FILES='a.py b.py' measures your own files; DEMO_FLAGS passes options to `mreza demo` (see mreza demo --help).
demo: .venv/.runtime ## Five nodes measure thousands of files; a worker and a relay are killed meanwhile
	$(BIN)/mreza demo $(DEMO_FLAGS) $(FILES)

# TESTS='tests/unit/wire -x' runs a part.
TESTS ?= tests --ignore=tests/stress
test: .venv/.test ## All tests but the long ones
	$(PYTEST) $(TESTS)

# Apart from `test`, because tracing every line makes the tests half as slow again.
coverage: .venv/.test ## Fail where a package's coverage is below its threshold (pyproject.toml)
	$(PYTEST) -q --cov --cov-report=json:.coverage.json --ignore=tests/stress tests
	$(PY) -m tests.support.coverage_gate .coverage.json

stress: .venv/.test ## Long tests: thousands of cycles, leaks, memory
	$(PYTEST) tests/stress

# One failing run: mreza sim NAME --seeds SEED, as the failure prints it.
sim: export MREZA_SIM_SEEDS ?= 200
sim: .venv/.test ## Bad days in virtual time: 200 seeds of each standard scenario
	$(PYTEST) tests/simulation

bench: .venv/.runtime ## Measure, with ratios to raw TLS of the same run
	$(PY) -m benchmarks $(BENCH_FLAGS)

# Linux with root and `ip`; takes half an hour. FAULTS_FLAGS='--only silent killed-8' measures a part.
faults: .venv/.test ## Measure how fast real nodes in network namespaces notice what breaks, and heal
	$(PY) -m benchmarks.faults $(FAULTS_FLAGS)

bench-scale: .venv/.test ## What one node pays for the size of its mesh, from 100 to 10,000 members
	$(PY) -m benchmarks.scale $(BENCH_FLAGS)

# An environment of its own: the libraries bring forty packages that mreza has nothing to do with.
BENCH_PY := $(subst .venv,.venv-bench,$(PY))
.venv-bench/.created: requirements/bench.txt
	$(PYTHON) -m venv --clear .venv-bench
	$(BENCH_PY) -m pip --disable-pip-version-check --quiet $(LOCKED) -r requirements/bench.txt
	@touch $@

bench-peers: .venv-bench/.created ## mesh.call beside grpcio, Dask and Ray, installed into .venv-bench
	PYTHONPATH=src $(BENCH_PY) -m benchmarks --only '128 B call' $(BENCH_FLAGS)

check: .venv/.test .venv/.docs ## What CI runs first: format, lint, types, import contracts, documentation
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports
	$(BIN)/zensical build --clean --strict

format: .venv/.test ## Format, and mend what can be mended
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

docs: .venv/.docs ## Build the documentation into site/
	$(BIN)/zensical build --clean --strict

reference: .venv/.test ## Write the pages of docs/reference that are made from the code
	$(PY) -m tests.support.reference_pages

# Universal: one file for Linux, macOS and Windows, and for every Python from 3.11 on. Needs uv in PATH.
UV_LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-build \
    --no-emit-index-url --no-header --no-annotate
lock: ## Resolve requirements/*.in anew; LOCK_FLAGS=--upgrade takes newer versions
	$(UV_LOCK) $(LOCK_FLAGS) requirements/runtime.in -o requirements/runtime.txt
	$(UV_LOCK) $(LOCK_FLAGS) requirements/test.in -c requirements/runtime.txt -o requirements/test.txt
	$(UV_LOCK) $(LOCK_FLAGS) requirements/docs.in -c requirements/test.txt -o requirements/docs.txt
	$(UV_LOCK) $(LOCK_FLAGS) requirements/bench.in -c requirements/test.txt -o requirements/bench.txt

clean: ## Remove what the other targets made
	rm -rf .venv .venv-bench .cache site .coverage .coverage.json .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
