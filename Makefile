# Everything a person does with Confide. `make` alone lists it; the work is in scripts/.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup run test soak bench train lint web lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Make .venv from the locked packages (the others do this too)
	@scripts/setup

run: train ## Start everything on this machine: https://localhost:8443
	@exec .venv/bin/confide up

test: setup ## Run the tests (all but soak); needs no network
	@scripts/test

soak: setup ## Run the long tests: full counts, races, restarts
	@scripts/test -m soak

bench: setup ## Measure speed and detection; results in bench/results
	@.venv/bin/python -m bench

train: setup ## Train the model; at once when nothing changed
	@.venv/bin/confide keys init >/dev/null
	@.venv/bin/python -m confide.rasa.train

lint: setup ## Check style, types, import rules and the conversation files
	@scripts/lint

web: ## Build the chat widget again (needs Node.js)
	@cd webchat && npm ci --no-audit --no-fund && npm run build

lock: setup ## Write requirements.lock again from pyproject.toml
	@scripts/lock

clean: ## Remove all that can be made again; keys and data in var/ stay
	rm -rf .venv .tools .rasa models build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -not -path './webchat/node_modules/*' -prune -exec rm -rf {} +
