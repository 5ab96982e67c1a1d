# make help lists the verbs. Everything is built from this repository and the
# language registries; nothing asks a question.
SHELL := bash
GO ?= go
export GOFLAGS ?= -buildvcs=false -trimpath
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: help build web cross up down logs broker broker-down broker-logs test race sim sim-mutants fuzz conform bench lint check clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 13

build: web ## bin/weir, the one binary
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -ldflags "-s -w -X github.com/weir-stream/weir/internal/cli.version=$(VERSION)" -o bin/weir ./cmd/weir

web: ## the dashboard's pages, if Node.js is there and they changed
	@scripts/web.sh build

cross: web ## bin/weir-OS-ARCH for linux and darwin, amd64 and arm64
	@set -e; mkdir -p bin; for os in linux darwin; do for arch in amd64 arm64; do \
	  echo "bin/weir-$$os-$$arch"; \
	  CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch $(GO) build -ldflags "-s -w -X github.com/weir-stream/weir/internal/cli.version=$(VERSION)" -o bin/weir-$$os-$$arch ./cmd/weir; \
	done; done

up: build ## start the service, the first time with a cluster, and say where all is
	@bin/weir up $(ARGS)

down: ## stop the service and all that it runs; the data stays
	@[ ! -x bin/weir ] || bin/weir down $(ARGS)

logs: ## follow the service's log
	@bin/weir logs -f $(ARGS)

broker: build ## one broker in the background without the service, its data in ./data
	@scripts/up.sh up

broker-down: ## stop that broker
	@scripts/up.sh down

broker-logs: ## follow its log
	@scripts/up.sh logs

test: ## unit tests under the race detector: no root, no JVM
	@scripts/check.sh test

race: ## the same without -short, not cached: long random histories
	$(GO) test -race -count=1 -timeout 60m ./...

SEEDS ?= 20000
sim: ## seeded histories under faults: SEEDS of one partition, SEEDS/40 of a quorum of each kind, SEEDS/200 of whole clusters, SEEDS/10 power cuts of a log
	@SEEDS=$(SEEDS) scripts/check.sh sim

sim-mutants: ## plants known faults, one at a time: the simulations must notice each
	set -o pipefail; $(GO) test -tags mutants -count=1 -v -parallel 2 -timeout 30m ./internal/testkit/mutants | grep -v '^=== '

fuzz: ## every fuzz target for FUZZTIME (default 10s)
	@scripts/fuzz.sh

conform: build ## real clients, and Apache Kafka beside Weir, compared
	@scripts/check.sh conform

bench: build ## Weir and Apache Kafka side by side; writes docs/BENCHMARKS.md
	$(GO) run ./bench -write docs/BENCHMARKS.md

lint: ## golangci-lint, pinned in tools/go.mod
	@scripts/check.sh lint

check: ## all of it; installs what is missing where it may
	@scripts/check.sh all

clean: ## what was built, never data
	rm -rf bin
