# Two steps behind every target: scripts/bootstrap.py makes .venv ready, then a Python program does the work.
# Kept to GNU Make 3.81, which macOS has. Settings go in front or behind: `make run PORT=9000`.

PYTHON ?= python3
BOOTSTRAP = @$(PYTHON) scripts/bootstrap.py
VENV_PYTHON = .venv/bin/python
VENV_UV = .venv/bin/uv
LOCK = $(VENV_UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-emit-index-url --no-emit-find-links $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help run dev test quick test-all mutants bench lint format messages lock audit

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

run: ## start the portal: http://127.0.0.1:8000, or HOST=... PORT=...
	$(BOOTSTRAP) run
	@exec $(VENV_PYTHON) manage.py portal_run $(ARGS)

dev: ## start it for work on the code: reloads on change, shows errors
	$(BOOTSTRAP) dev
	@DEBUG=1 exec $(VENV_PYTHON) manage.py portal_run $(ARGS)

test: ## run the tests on SQLite, then on PostgreSQL and Redis; ARGS="tests/accounts -k login"
	$(BOOTSTRAP) dev
	@exec $(VENV_PYTHON) scripts/run_tests.py $(ARGS)

quick: ## run the tests of what has changed, for at most 80 seconds; ARGS="--base main"
	$(BOOTSTRAP) dev
	@exec $(VENV_PYTHON) scripts/quick.py $(ARGS)

test-all: ## the same, but anything missing or skipped is a failure
	$(BOOTSTRAP) dev
	@exec $(VENV_PYTHON) scripts/run_tests.py --all $(ARGS)

mutants: ## delete one clause at a time and list what no test notices; ARGS="--seed 7 --number 60"
	$(BOOTSTRAP) dev
	@exec $(VENV_PYTHON) scripts/mutants.py $(ARGS)

bench: ## measure it beside nginx, cp and zip: docs/performance.md; ARGS=--quick, ARGS="--only zip"
	$(BOOTSTRAP) dev
	@exec $(VENV_PYTHON) -m bench $(ARGS)

lint: ## check style, templates, scripts, Django's settings and migrations
	$(BOOTSTRAP) run lint
	@exec $(VENV_PYTHON) scripts/lint.py

format: ## let ruff mend what it can
	$(BOOTSTRAP) run lint
	@.venv/bin/ruff check --fix --quiet . ; .venv/bin/ruff format .

messages: ## put new sentences into the Swahili catalog, and say which have no Swahili yet
	$(BOOTSTRAP) run
	@exec $(VENV_PYTHON) scripts/messages.py $(ARGS)

lock: ## write requirements*.txt anew from requirements*.in; ARGS=--upgrade for newer versions
	$(BOOTSTRAP) run
	$(LOCK) requirements-uv.in -o requirements-uv.txt
	$(LOCK) requirements.in -o requirements.txt
	$(LOCK) requirements-dev.in -o requirements-dev.txt
	$(LOCK) requirements-lint.in -o requirements-lint.txt
	$(LOCK) requirements-audit.in -o requirements-audit.txt

audit: ## ask PyPI which of the locked packages have known faults
	$(BOOTSTRAP) run audit
	@exec .venv/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off --timeout 15 \
		-r requirements-dev.txt -r requirements-lint.txt -r requirements-uv.txt $(ARGS)
