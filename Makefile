# Every command of the repository. `make` alone prints this list.
PYTHON ?= python3
BOOTSTRAP = $(PYTHON) deploy/local/src/onecard_local/bootstrap.py
RUN = $(BOOTSTRAP) run
DEV = $(BOOTSTRAP) dev
DISTRIBUTIONS = contracts chassis gateway identity-svc card-svc payment-svc scenario-svc interop-svc \
	clients/onecard clients/ecard deploy/local deploy/local/simulators
TEST_MINUTES = 10

.PHONY: help run test check demo bench faults contracts lock clean

help: ## print this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/\1 \2/p' $(firstword $(MAKEFILE_LIST)) | \
		while read -r target words; do printf '  make %-10s %s\n' "$$target" "$$words"; done

run: ## start a whole cell on this machine; LISTEN=ADDRESS opens it to a phone
	@$(RUN) python -m onecard_local run $(if $(LISTEN),--listen $(LISTEN))

test: ## run every test on real PostgreSQL and NATS, beside a running cell; ONLY=PATH narrows it
	@$(DEV) timeout --foreground --signal=INT $(TEST_MINUTES)m pytest $(ONLY)

check: ## format, lint, types, import law, tidy rules, drift of the contracts
	@$(DEV) ruff format --check --quiet .
	@$(DEV) ruff check --quiet .
	@$(DEV) sh -ec 'for folder in $(DISTRIBUTIONS); do mypy --no-error-summary $$folder/src; done'
	@$(DEV) lint-imports --no-logo
	@$(DEV) python tests/architecture/tidy.py
	@$(DEV) pytest -q tests/architecture
	@$(DEV) python tests/contracts/generate.py --check
	@echo "make check: all is well"

demo: ## tell the story of the card against the running cell, starting it if need be
	@$(DEV) python -m tests.demo

bench: ## measure and compare; ONLY=events|gateway|loss|start
	@$(DEV) sh -ec 'for name in $(or $(ONLY),events gateway loss start); do python tests/bench/$$name.py; done'

faults: ## kill processes while clients retry, then prove that nothing is lost; KILLS=200 SEED=1
	@$(DEV) python -m tests.faults $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED))

contracts: ## generate OpenAPI, AsyncAPI and event schemas anew
	@$(DEV) python tests/contracts/generate.py

lock: ## write the lock files anew from the pyproject files
	@$(DEV) sh requirements/lock.sh

clean: ## wipe the data of the cell (refused while it runs)
	@$(RUN) python -m onecard_local clean
