# Everything a newcomer needs: only Python 3.11+ and make are assumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WASM_STAMP := $(VENV)/.installed-wasm
DOCS_STAMP := $(VENV)/.installed-docs

.PHONY: setup run test test-free-threaded test-wasm check format docs bench simulate soak fuzz proto clean

setup: $(STAMP) ## create .venv with Forebay and everything its tests need

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

run: setup ## the demo: a server, three live recordings, a table of what comes in
	$(BIN)/forebay demo

test: setup ## the whole test suite
	$(BIN)/python -m pytest

FREE_THREADED_TESTS := $(addprefix tests/,runtime ingest hub store codec chunk model stress \
	test_architecture.py test_errors.py)
NEED_SDK := $(addprefix tests/,chunk/test_arrays.py codec/test_encoder.py model/test_paths.py $(addprefix \
	store/dataframe/test_,against_rerun.py contents.py dataframe.py dataframes.py interop.py))
ROUNDS ?= 5
test-free-threaded: setup ## the engine without a GIL, and its stores beside those made with one
	set -e; python=$$(tools/free_threaded.sh); export FOREBAY_STRESS_ROUNDS=$(ROUNDS); \
	export FOREBAY_CORPUS=$$($(BIN)/python -m tests.corpus); \
	export FOREBAY_FINGERPRINTS=$(abspath $(VENV))/.fingerprints.json; \
	$(BIN)/python -m tests.fingerprints >$$FOREBAY_FINGERPRINTS; \
	PYTHON_GIL=0 $$python -X faulthandler -m pytest $(FREE_THREADED_TESTS) $(NEED_SDK:%=--ignore=%)

test-wasm: setup $(WASM_STAMP) ## the engine and the page in Pyodide, under Node and in Chromium
	command -v chromium >/dev/null || (apt-get update -qq && apt-get install -y -qq chromium) >/dev/null
	FOREBAY_PYODIDE="$$($(BIN)/python tools/fetch_pyodide.py)" $(BIN)/python -m pytest tests/wasm

$(WASM_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[wasm]'
	touch $@

check: setup ## format, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup ## put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup $(DOCS_STAMP) ## the documentation site, in build/docs
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs build/docs

$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	touch $@

bench: setup ## the workloads, short
	$(BIN)/forebay bench

SEEDS ?= 10000
simulate: setup ## the engine under SEEDS seeded schedules; prints a seed that replays
	$(BIN)/python -m tests.ingest.simulate --seeds $(SEEDS)

MINUTES ?= 30
soak: setup ## 64 stores at mixed rates under a memory limit, for MINUTES
	$(BIN)/python -m tests.soak.soak --minutes $(MINUTES)

JOBS ?= 1
fuzz: setup ## hostile inputs of every kind, for MINUTES over all targets; guided by coverage where atheris runs
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: 'atheris>=3.0'
	$(BIN)/python -m tests.fuzz --all --minutes $(MINUTES) --jobs $(JOBS)

proto: setup ## regenerate the protobuf code
	$(BIN)/python tools/generate_proto.py

clean:
	rm -rf $(VENV) .venv-free-threaded build dist .pytest_cache .mypy_cache .ruff_cache
