# make repro | make test : each sets the environment up first if it has to.
PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= auto
BIN    := $(abspath $(VENV))/bin
export PATH := $(BIN):$(PATH)
# the package itself, built with the setuptools of the lock
EDITABLE := --no-deps --no-build-isolation --editable .
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check
# what DVC and matplotlib would keep in the home folder or below /var
export DVC_SITE_CACHE_DIR := $(abspath $(VENV))/var/dvc
export MPLCONFIGDIR := $(abspath $(VENV))/var/matplotlib

.DEFAULT_GOAL := help
.PHONY: help repro test test-fast test-newest lint lock audit

help:
	@echo "make repro  environment + the whole pipeline (dvc repro); then open artifacts/report/report.html"
	@echo "make study-vibration  (study-ecg, study-hybrid, ...)  environment + one supervised study of studies/params.yaml"
	@echo "make test   environment + all tests (JOBS=4: so many at a time; default: one per core)"
	@echo "make test-fast  unit, contract and reference tests only"
	@echo "make test-newest  the attribution tests on the newest versions of everything (PYTHON=python3.13: zennit 1.0)"
	@echo "make lint   style, types, dependencies, import contracts"
	@echo "make audit  compare the locked versions with known faults (uses the network)"
	@echo "make lock   pin the ranges of pyproject.toml again (needs uv)"

# uv takes half the time of pip: the user's own, or one in the environment, whose cache goes when it is done
$(VENV)/.ready: requirements.lock requirements.uv.lock
	@$(PYTHON) -c 'import sys; sys.exit("clusterwhy needs Python >= 3.11, found " + sys.version.split()[0] + ": set PYTHON=...") if sys.version_info < (3, 11) else None'
	@echo "creating the environment in $(VENV) (once; 7 GB, a few minutes)"
	@if command -v uv >/dev/null; then \
		uv=uv && uv venv -q --allow-existing --python $(PYTHON) $(VENV); \
	else \
		uv=$(BIN)/uv && export UV_CACHE_DIR=$(abspath $(VENV))/var/uv && $(PYTHON) -m venv $(VENV) && $(PIP) --require-hashes -r requirements.uv.lock; \
	fi && $$uv pip install -q --compile-bytecode --python $(BIN)/python --require-hashes -r $< && $$uv pip install -q --python $(BIN)/python $(EDITABLE) || { \
		echo "uv failed, see above: pip installs, which reads settings of its own and takes twice as long" && \
		$(PYTHON) -m venv $(VENV) && $(PIP) --require-hashes -r $< && $(PIP) $(EDITABLE); \
	}
	@rm -rf $(VENV)/var/uv
	@python -c "from clusterwhy.projection import compile_kernels; compile_kernels()"  # numba, once: half a minute
	@python -c "from clusterwhy.propagation.compiled import compile_loops; compile_loops()"
	@touch $@

repro: $(VENV)/.ready
	@python -m pipeline.check
	@python -m pipeline.unlock
	dvc repro
	@echo "open artifacts/report/report.html"

study-%: $(VENV)/.ready
	@python -m pipeline.check
	@python -m pipeline.unlock
	dvc repro studies/dvc.yaml:attribute@$*
	@echo "look at artifacts/studies/$*"

# one worker per core, one thread each; a worker that has finished takes over tests of another
test: $(VENV)/.ready
	python -m pytest -n $(JOBS) --dist worksteal

test-fast: $(VENV)/.ready
	python -m pytest -n $(JOBS) --dist worksteal -m "unit or contract or reference"

# no lock: what a user gets who installs today; zennit 1.0 needs Python >= 3.11.11
test-newest:
	$(PYTHON) -m venv $(VENV)-newest
	$(VENV)-newest/bin/python -m pip install -q --disable-pip-version-check --upgrade --upgrade-strategy eager -e ".[dev]"
	$(VENV)-newest/bin/python -m pip list 2>/dev/null | grep -i -E "^(captum|numpy|torch|tsai|zennit) "
	$(VENV)-newest/bin/python -m pytest tests/reference/test_engine.py tests/reference/test_heads.py tests/unit/propagation/test_relevance.py tests/unit/attribution/test_differences.py tests/reference/test_captum.py

lint: $(VENV)/.ready
	ruff check .
	ruff format --check .
	mypy
	deptry src pipeline
	PYTHONPATH=src:. lint-imports --no-logo

# its own environment, so that the project depends on nothing for it
audit:
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install -q --disable-pip-version-check "pip-audit>=2.7,<3"
	$(VENV)-audit/bin/pip-audit --require-hashes --disable-pip --progress-spinner off -r requirements.lock

# zennit 1.0 needs Python >= 3.11.11, and the lock serves every Python from 3.11 on. The constraint is here: uv does not
# install with hashes where pyproject.toml has one.
lock:
	echo "zennit<0.6" | uv pip compile -q pyproject.toml --extra dev --universal --no-emit-index-url --generate-hashes -c - \
		--custom-compile-command "make lock" --python-version 3.11 -o requirements.lock
	echo "uv>=0.8" | uv pip compile -q - --universal --no-emit-index-url --generate-hashes \
		--custom-compile-command "make lock" --python-version 3.11 -o requirements.uv.lock
