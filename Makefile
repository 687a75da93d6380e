# Everything is installed under this folder: .venv, .venv-ape, node_modules, .build. A target that has nothing to do is instant.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv/bin
NODE := node_modules/.bin
# The program itself: npm's wrapper around it exits with 0 whatever happened.
FORGE = $$(ls node_modules/@foundry-rs/forge-*/bin/forge)
export SOLCX_BINARY_PATH := $(CURDIR)/.build/solcx
export HF_HUB_OFFLINE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Images of containers set it; each process of the tests would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

# Side by side, since most tests wait for one thing or another; those of whole networks alone.
PYTEST := $(VENV)/pytest -n auto --maxprocesses 4 --dist worksteal

SETUP := .venv/installed .venv-ape/installed node_modules/installed .build/solcx/solc-v0.8.37

.PHONY: soak bench-economics long-run bench-noise bench-noise-smollm2 bench-shardcast help setup abi wheel lock fmt check test test-long test-quick test-contracts demo bench-gossip bench-toploc bench-codecs bench-aggregation bench-diloco gas cheats slither types trees fuzz fuzz-contracts bench-verify clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(SETUP) ## Install all that the project needs, under this folder

.venv/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Assay needs Python 3.11 or newer: set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(VENV)/pip install --quiet --no-deps -r requirements.lock
	$(VENV)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv-ape/installed: requirements-ape.lock
	$(PYTHON) -m venv .venv-ape
	.venv-ape/bin/pip install --quiet --no-deps -r requirements-ape.lock
	touch $@

.venv-slither/installed: requirements-slither.lock
	$(PYTHON) -m venv .venv-slither
	.venv-slither/bin/pip install --quiet --no-deps -r requirements-slither.lock
	touch $@

node_modules/installed: package.json package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	touch $@

.build/solcx/solc-v0.8.37: tools/solc node_modules/installed
	mkdir -p .build/solcx
	ln -sf ../../tools/solc $@
	touch -h $@

.build/forge/compiled: $(wildcard contracts/*.sol contracts/*/*.sol) foundry.toml $(SETUP)
	$(FORGE) build --skip test
	touch $@

abi: $(SETUP) ## Write the contracts' ABIs and code into offchain/assay_core/chain
	$(VENV)/python -m tools.abi

wheel: .venv/installed ## A wheel in dist/, which works without this folder
	rm -rf build dist
	$(VENV)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	rm -rf build

trees: .venv/installed ## Write the given/when/then trees of the contracts' tests
	$(VENV)/python tools/trees.py

lock: .venv/installed ## Resolve pyproject's ranges again into requirements.lock
	$(VENV)/python tools/lock.py

fmt: $(SETUP) ## Format everything
	$(VENV)/ruff check --fix .
	$(VENV)/ruff format .
	$(FORGE) fmt

# again, since slither reads every build's record that it finds
.build/slither/compiled: $(wildcard contracts/*.sol contracts/*/*.sol) foundry.toml $(SETUP)
	rm -rf .build/slither
	$(FORGE) build --skip test --build-info --out .build/slither/out --cache-path .build/slither/cache
	touch $@

slither: .venv-slither/installed .build/slither/compiled ## Look for known weaknesses in the contracts; exceptions are explained beside them
	PATH=$$(dirname $(FORGE)):$$PATH .venv-slither/bin/slither . --ignore-compile --foundry-out-directory .build/slither/out

types: $(SETUP)
	$(NODE)/pyright

check: .build/forge/compiled ## Style, types, import rules, generated files
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(MAKE) --no-print-directory --jobs 2 --output-sync types slither
	$(VENV)/lint-imports
	$(FORGE) fmt --check
	$(NODE)/solhint --max-warnings 0 'contracts/**/*.sol'
	$(VENV)/python -m tools.abi --check
	$(VENV)/python tools/trees.py --check
	$(VENV)/codespell

test: test-contracts ## Everything: contracts, units, chain, slow, the demo
	$(PYTEST) -m "not e2e" --hypothesis-profile full
	$(VENV)/pytest -m e2e

# What is too long for every change, and run before one is called done that concerns it: about three hours on two cores.
test-long: test cheats fuzz fuzz-contracts long-run soak bench-noise ## Everything, at length: cheats × 50, random seeds, 10,000 epochs, an hour of accidents, noise

test-quick: $(SETUP) ## The offline tests that are not slow: about two and a half minutes of processor time, side by side
	$(PYTEST)

test-contracts: .build/forge/compiled ## Forge: units, fuzz, invariants, gas bounds
	FOUNDRY_PROFILE=long $(FORGE) test
	$(VENV)/python tools/gas.py

gas: .build/forge/compiled ## What the contracts cost, beside the peer's; fails when a bound is crossed or a figure has moved
	status=0; $(FORGE) test --match-path tests/contracts/Gas.t.sol || status=$$?; $(VENV)/python tools/gas.py && exit $$status

demo: .build/forge/compiled ## A whole local network: real training, cheats caught, payouts claimed
	$(VENV)/assay demo

soak: .build/forge/compiled ## An hour of accidents: processes, disks, nodes and relays fail in random order; SOAK_SECONDS=, SEED=
	$(VENV)/python -m tests.soak.run --seconds $${SOAK_SECONDS:-3600} $${SEED:+--seed $$SEED}

long-run: .build/forge/compiled ## 10,000 epochs on a local chain: every wei accounted for; minutes
	$(VENV)/python -m benchmarks.epochs

bench-gossip: $(SETUP) ## Exchange without a star: simulated up to 10,000 peers; as root, confirmed over shaped links
	$(VENV)/python -m benchmarks.gossip simulate
	@if [ $$(id -u) = 0 ]; then $(VENV)/python -m benchmarks.gossip confirm; else echo "not root: not confirmed"; fi

# the costs of docs/economics.md
COSTS := --read-cost 0.002 --check-cost 0.01 --plant-cost 0.01 --gas-price 0.05 --coin-price 1000
bench-economics: .venv/installed ## Economics: tables and picture of docs/economics.md, by formulas and played out
	$(VENV)/assay economics examples/sorting.toml
	$(VENV)/assay economics --panel
	$(VENV)/assay economics examples/sorting.toml $(COSTS)
	$(VENV)/python -m benchmarks.economics examples/sorting.toml $(COSTS)
	$(VENV)/python -m benchmarks.economics examples/sorting.toml --plot docs/economics.svg > /dev/null

bench-toploc: .venv/installed .build/toploc-reference/toploc ## TOPLOC beside the reference package: build, check
	OMP_NUM_THREADS=1 OMP_THREAD_LIMIT=1 MKL_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(VENV)/python -m benchmarks.toploc

# compiled against the installed torch (minutes, once); without a compiler the benchmark takes the recorded times
.build/toploc-reference/toploc:
	-$(VENV)/pip install --quiet --no-deps --no-build-isolation --no-binary toploc \
		--target .build/toploc-reference toploc==0.1.6

bench-codecs: $(SETUP) ## Codecs: size, speed, and loss at equal steps beside data-parallel training
	OMP_NUM_THREADS=1 $(VENV)/python -m benchmarks.outer codecs

bench-aggregation: $(SETUP) ## Aggregation rules: training with two hostile trainers of eight under each
	OMP_NUM_THREADS=1 $(VENV)/python -m benchmarks.outer aggregation

bench-diloco: .build/forge/compiled ## OpenDiLoCo end to end: four trainers as processes beside one; one dies, one joins
	OMP_NUM_THREADS=1 $(VENV)/python -m benchmarks.diloco rehearse
	OMP_NUM_THREADS=1 $(VENV)/python -m benchmarks.diloco run

bench-noise: .venv/installed ## Honest submissions between machines that compute otherwise: none may be rejected
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(VENV)/python -m benchmarks.honest_noise

bench-noise-smollm2: .venv/installed ## The same with SmolLM2-135M, 200 submissions: long; when cut it goes on where it was
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(VENV)/python -m benchmarks.honest_noise --policy smollm2 \
		--record runs/noise-smollm2.jsonl

bench-verify: .venv/installed ## What verifying a submission costs beside producing it; fails when a bound is crossed
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive $(VENV)/python -m benchmarks.verify

bench-shardcast: $(SETUP) ## SHARDCAST beside raw sendfile + SHA-256, nginx + obstore, links of a given speed
	$(VENV)/python -m benchmarks.shardcast

cheats: .venv/installed ## Every known cheat fifty times, and honest submissions: none escapes, none is rejected
	OMP_NUM_THREADS=1 $(VENV)/python -m tests.cheats.table --write

SECONDS_EACH ?= 60
fuzz: .venv/installed ## Hostile bytes with random seeds at every parser: SECONDS_EACH=60
	OMP_NUM_THREADS=1 $(VENV)/python -m tests.fuzz.run --examples 2000 --seconds $(SECONDS_EACH)

FUZZ_RUNS ?= 4000
fuzz-contracts: .build/forge/compiled ## The contracts' fuzz tests and campaigns with a random seed: FUZZ_RUNS=4000
	FOUNDRY_PROFILE=hunt $(FORGE) test --fuzz-seed 0x$$(od -An -N8 -tx1 /dev/urandom | tr -d ' ') --fuzz-runs $(FUZZ_RUNS) --match-test 'testFuzz|invariant'

clean: ## Remove what was built and installed
	rm -rf .venv .venv-ape .venv-slither node_modules .build build dist runs *.egg-info
