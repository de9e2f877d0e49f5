# Studio's commands. `make run` is all that a newcomer needs.

PYTHON ?= python3
UV := uv==0.13.9
VENV := .venv
PY := $(VENV)/bin/python
ARGS ?=
PIP_INSTALL := $(PY) -m pip install -qq --no-input --disable-pip-version-check --require-hashes

# A stamp holds the hash of the lock that was installed last.
fresh = sha256sum --check --status $(1) 2>/dev/null
# What checks need of a data folder, away from the person's own.
SCRATCH := STUDIO_HOME=$(CURDIR)/build/home

.PHONY: run test faults check screenshots bench lock format install install-dev node preflight help

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' $(MAKEFILE_LIST)

run: install ## start Studio and print its sign-in link
	@$(PY) -m studio.preflight home
	@$(PY) manage.py up

# Two at a time, since they wait as much as they compute; a file's tests stay together, for the Studio that they share.
test: install-dev ## run the tests; ARGS="-k board" chooses, ARGS="-n 0" takes one after another
	$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

faults: install-dev ## break a running Studio and write docs/reliability.md; FULL=1 SEED=7 does all, in that order
	FAULTS_LANE=$(if $(FULL),full,sample) FAULTS_SEED=$(SEED) $(PY) -m pytest tests/faults -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

check: install-dev ## style, types, templates, migrations, deployment
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	git ls-files 'templates/*.html' | xargs -r $(VENV)/bin/djade --check --target-version 5.2
	$(SCRATCH) $(PY) -m mypy manage.py studio tasks sessions
	$(SCRATCH) $(PY) manage.py makemigrations --check --dry-run
	$(SCRATCH) STUDIO_URL=https://studio.example.org $(PY) manage.py check --deploy --fail-level WARNING

screenshots: install-dev ## write every page, wide and narrow, light and dark, to build/screenshots/
	SCREENSHOTS=$(CURDIR)/build/screenshots $(PY) -m pytest -q tests/browser/test_pages.py

bench: install-dev ## measure; LOAD=10 runs ten executions at once
	LOAD=$(LOAD) $(PY) -m tests.bench

format: install-dev ## rewrite Python and templates into the house style
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .
	git ls-files 'templates/*.html' | xargs -r $(VENV)/bin/djade --target-version 5.2

lock: preflight ## pin the dependencies again; UPGRADE=--upgrade takes newer ones
	npm install --package-lock-only --ignore-scripts
	$(PYTHON) -m venv build/uv
	build/uv/bin/pip install --quiet --disable-pip-version-check $(UV)
	$(call compile,requirements-dev.lock) --extra dev
	$(call compile,requirements.lock) --constraint requirements-dev.lock

compile = build/uv/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock" $(UPGRADE) --output-file $(1)

install: preflight node
	@$(call fresh,$(VENV)/requirements.sum) && $(PY) -c '' || $(MAKE) --no-print-directory venv LOCK=requirements

install-dev: preflight node
	@$(call fresh,$(VENV)/requirements-dev.sum) && $(PY) -c '' || $(MAKE) --no-print-directory venv LOCK=requirements-dev

.PHONY: venv
venv:
	@echo "Installing the Python packages of $(LOCK).lock ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) --requirement $(LOCK).lock
	@sha256sum $(LOCK).lock > $(VENV)/$(LOCK).sum

# OpenCode's binary comes as a package of its own: no install script is needed, and none is run. Not `npm ci`: it
# refuses a lock that does not list every platform's package. `--no-save` leaves the lock as it is.
node: preflight
	@$(call fresh,node_modules/.lock.sum) || { \
		echo "Installing OpenCode and the front-end libraries ..."; \
		npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error; } && $(OPENCODE_THERE)

OPENCODE_THERE = { ls node_modules/opencode-linux-*/bin/opencode >/dev/null 2>&1 && sha256sum package-lock.json > node_modules/.lock.sum || { \
	echo "OpenCode has no package for this machine ($$(uname -m)), or npm could not fetch it." >&2; exit 1; }; }

preflight:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Studio needs Python 3.11 or newer as $(PYTHON): install it, or name another one (make run PYTHON=python3.12)." >&2; exit 1; }
	@$(PYTHON) -m studio.preflight tools
