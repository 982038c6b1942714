# The two commands of a fresh machine: `make demo` and `make test`.
# `make setup` is idempotent; everything else runs it first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STUDY ?= study-demo
STAMP := $(VENV)/.complete
THREADS ?= 1
# Two processes: tests/conftest.py says which test belongs to which. `make test SIDE_BY_SIDE=` has one.
SIDE_BY_SIDE ?= -n 2
# What the console imports: compiled at setup, so that its first start is as quick as the others.
CONSOLE = psychopy psychtoolbox pyglet numpy pandas scipy PIL pydantic rich click requests urllib3 freetype fontTools yaml \
  dateutil serial json_tricks charset_normalizer arabic_reshaper idna i18next bidi packaging platformdirs
UV = $(BIN)/python -m uv
RUN = PYTHONPATH=. OMP_NUM_THREADS=$(THREADS) OPENBLAS_NUM_THREADS=$(THREADS) MKL_NUM_THREADS=$(THREADS)

.PHONY: setup system demo test test-all lint bench peers lock clean

setup: system $(STAMP)

# A window without a display needs Xvfb and Mesa's software GL; asked for only where they are missing.
system:
	@PYTHON=$(PYTHON) sh docs/setup/system-packages.sh

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v < (3, 13) else \
	  "error: this is Python %d.%d; expected 3.10, 3.11 or 3.12. Name one: make setup PYTHON=python3.11" % v)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install --quiet "uv>=0.5"
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q -j 0 subjects stimuli paradigms analysis run_session.py \
	  $$($(BIN)/python -c 'import sysconfig as s; print(*(s.get_path("purelib") + "/" + n for n in "$(CONSOLE)".split()))')
	@touch $(STAMP)

demo: setup
	$(BIN)/python run_session.py rehearse --study $(STUDY)

test: setup
	$(RUN) $(BIN)/python -m pytest -q -m "not slow" $(SIDE_BY_SIDE)

test-all: setup
	$(RUN) $(BIN)/python -m pytest -q $(SIDE_BY_SIDE)

lint: setup
	$(BIN)/ruff check .
	for platform in linux win32 darwin; do $(BIN)/mypy --platform $$platform || exit 1; done

# Attack libraries that the benchmarks run beside ours; nothing else needs them.
peers: setup
	$(UV) pip install --quiet --python $(BIN)/python --no-deps -r benchmarks/peers.txt

bench: setup peers
	@for file in benchmarks/*.py; do echo "== $$file"; $(RUN) $(BIN)/python $$file || exit 1; done

lock:
	$(UV) pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
	  --python-version 3.10 --extra dev pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
