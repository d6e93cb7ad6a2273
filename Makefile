# Every target sets up what it needs. Python >= 3.11, git and make are enough; the lab also wants root on Debian/Ubuntu.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
# Three labs at once, which mostly wait for Docker, is what two cores bear, and one worker for the rest: tests/lab/groups.py.
# Six thousand tests beside three labs: one that fails is tried once more and told as RERUN, on the lab twice.
WORKERS := -n 4 --dist loadgroup --no-loadscope-reorder --reruns 1

.PHONY: help setup demo test test-fast faults check bench screenshots lab lab-packages lock clean

help:  ## what can be made here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort | awk -F'\t' '{printf "  %-14s %s\n", $$1, $$2}'

$(READY): requirements.lock pyproject.toml tests/setup.sh
	@PYTHON="$(PYTHON)" sh tests/setup.sh venv $(VENV)
	@touch $@

setup: $(READY)  ## the virtual environment, from the lock file with hashes

demo: $(READY)  ## the console on a simulated cluster: no Docker, no root, no network
	@$(BIN)/swarmtui demo

lab-packages:
	@sh tests/setup.sh lab

test: $(READY) lab-packages  ## all tests; as root on Debian/Ubuntu also those on the lab of real dockerds
	@$(BIN)/python -m pytest $(WORKERS) $(TESTFLAGS)

test-fast: $(READY)  ## the tests that need no lab
	@$(BIN)/python -m pytest $(WORKERS) $(TESTFLAGS) -m "not lab and not lab26"

faults: $(READY) lab-packages  ## the full matrix: every fault at every step, and the recoveries on both engines (hours)
	@SWARMTUI_FAULTS=full $(BIN)/python -m pytest $(WORKERS) $(TESTFLAGS) tests/faults tests/actions tests/demo/contract

check: $(READY)  ## ruff, types, import contracts
	@$(BIN)/ruff check swarmtui tests
	@$(BIN)/ruff format --check swarmtui tests
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

bench: $(READY) lab-packages  ## the figures: medians and ratios in one run
	@$(BIN)/python -m tests.bench

screenshots: $(READY)  ## draw screenshots/*.svg
	@$(BIN)/python -m tests.screenshots

lab: $(READY) lab-packages  ## a Swarm of real dockerds to play with; prints how to connect, ends with Ctrl-C
	@$(BIN)/python -m tests.lab

lock:  ## make requirements.lock anew (hashes, no addresses)
	@rm -rf $(VENV)/lock && $(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip install -q uv
	@$(VENV)/lock/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --no-emit-index-url --extra dev pyproject.toml -o requirements.lock

clean:  ## the virtual environment and caches (never a running lab)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
