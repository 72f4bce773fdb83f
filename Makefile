# `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

GO ?= go
FUZZTIME ?= 3s
BENCH ?= .
CHAOS_MINUTES ?= 5
CHAOS_SEED ?=
CHAOS_FAULTS ?= 200
# COIN=litecoin runs another coin; ARGS='--fresh' goes to adit serve as it is.
COIN ?=
ARGS ?=

# Areas with state shared between goroutines. (Package kernels itself builds and runs other programs.)
RACE := $(addsuffix /...,$(addprefix ./,$(wildcard pool stratum worker payout dashboard))) \
	./kernels/all ./kernels/gpu ./kernels/scrypt ./kernels/sha256d
STRIP := -trimpath -ldflags='-s -w'

.PHONY: help run build test itest chaos chaos-payout race lint fuzz bench deps clean need-redis need-coin FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: build need-coin ## a whole pool on this machine: node, Redis, three rigs, dashboard (COIN=litecoin, ARGS=--fresh)
	@exec bin/adit serve --dev $(if $(COIN),--coin $(COIN)) $(ARGS)

build: bin/adit bin/btcd ## bin/adit and the node bin/btcd

test: build need-redis ## unit tests and one short end-to-end run, within 6 minutes
	$(GO) test -timeout 6m ./...

itest: build need-redis ## long tests with real nodes and processes, within 25 minutes
	$(GO) test -tags itest -timeout 25m ./itest/...

# The closing line comes last whatever else was printed.
chaos: build need-redis ## break a pool at random for CHAOS_MINUTES=5 and account for every share (CHAOS_SEED=n, CHAOS_REDIS=sentinel,…)
	@line=$$(mktemp); CHAOS_OUT=$$line CHAOS_MINUTES=$(CHAOS_MINUTES) CHAOS_SEED=$(CHAOS_SEED) \
		$(GO) test -tags itest -count=1 -v -timeout 10h -run '^TestChaos$$' ./itest; code=$$?; cat $$line; rm -f $$line; exit $$code

chaos-payout: build need-redis ## break payouts in every state on btcd and litecoind, CHAOS_FAULTS=200 times, and force two ledger histories apart
	@line=$$(mktemp); CHAOS_OUT=$$line CHAOS_PAYOUT_FAULTS=$(CHAOS_FAULTS) CHAOS_SEED=$(CHAOS_SEED) \
		$(GO) test -tags itest -count=1 -v -timeout 10h -run '^Test(ChaosPayout|TwoHistories)$$' ./itest; code=$$?; cat $$line; rm -f $$line; exit $$code

race: bin/btcd need-redis ## tests of packages with shared state, under the race detector
	$(GO) test -race -timeout 12m $(RACE)

lint: bin/staticcheck ## gofmt, go vet, staticcheck, and a build for arm64 without cgo
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not gofmt'ed:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags itest ./...
	CGO_ENABLED=0 $(GO) vet ./cmd/... ./worker/... ./kernels/...
	bin/staticcheck ./...
	bin/staticcheck -tags itest ./...
	CGO_ENABLED=0 GOARCH=arm64 $(GO) build -o /dev/null ./cmd/adit

fuzz: ## every fuzz target for FUZZTIME=3s, at most FUZZBUDGET seconds in all
	@FUZZTIME=$(FUZZTIME) tools/fuzz

bench: ## every benchmark (BENCH=regexp)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

deps: ## install what tests use by apt-get where it is missing: redis-server, litecoind, Chromium, PoCL, oclgrind, qemu, promtool
	@tools/deps

clean: ## delete bin; data directories stay
	rm -rf bin

# Go's own cache knows what is new.
bin/adit: FORCE
	@tools/slow 'building bin/adit' $(GO) build -trimpath -o $@ ./cmd/adit

bin/btcd: tools/btcd/go.mod tools/btcd/go.sum
	@cd tools/btcd && CGO_ENABLED=0 ../slow 'building bin/btcd, the development node: some 30 seconds the first time' \
		$(GO) build $(STRIP) -o ../../bin/btcd github.com/btcsuite/btcd
	@touch $@

bin/staticcheck: tools/staticcheck/go.mod tools/staticcheck/go.sum
	@cd tools/staticcheck && CGO_ENABLED=0 ../slow 'building bin/staticcheck' \
		$(GO) build $(STRIP) -o ../../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	@touch $@

# Tests that miss a program say so and are skipped; in CI they fail.
need-redis:
	@command -v redis-server >/dev/null || tools/deps redis-server || true

need-coin:
	@[ '$(COIN)' != litecoin ] || command -v litecoind >/dev/null || tools/deps litecoind
