# What there is to do here. Every target sets up what it needs and this machine lacks (see .ci/setup).
#
#   make demo    build, walk through the main job, and on a terminal leave a whole city running
#   make test    everything that decides whether a change lands
#   make build   bin/shiguan and bin/shiguan-verify

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:

GO ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
RELEASE := $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS := -X shiguan/cmd/internal/cli.release=$(RELEASE)

# Where the demo lives. A directory that only its owner can enter is no hindrance, but PostgreSQL then ends with the run.
DEMO_DIR ?= demo
PORT_BASE ?= 16432

# Packages whose tests race goroutines against each other run under the race detector; in the others it would only cost
# time (pure functions, a C parser it cannot see into, real servers in other processes).
RACE := ./auditlog ./auditlog/record/... ./auditlog/search/... ./proxy/... ./witness/... ./cmd/internal/console/... \
	./cmd/internal/investigation/... ./cmd/internal/logins

# The Node.js drivers that .ci/setup installed.
export NODE_PATH := $(CURDIR)/.build/clients/node_modules

.PHONY: build demo test lint test-race test-plain test-long test-suites bench bench-log bench-go clean setup-build setup-demo setup-all setup-source

# No -trimpath: the tests would then compile PostgreSQL's parser, some minutes of C, once more for themselves.
build: setup-build
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/ ./cmd/shiguan ./cmd/shiguan-verify

demo: setup-demo build
	bin/shiguan demo --dir $(DEMO_DIR) --port-base $(PORT_BASE) --tour --stay

test: setup-all lint
	$(MAKE) --no-print-directory test-race
	$(MAKE) --no-print-directory test-plain

# Vet and staticcheck know bugs, gofmt knows style; none of them may say anything.
lint: setup-build
	@unformatted=$$(gofmt -l cmd configs policy proxy auditlog witness); \
	if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

test-race: setup-all
	$(GO) test -race -timeout 10m $(RACE)

test-plain: setup-all
	$(GO) test -timeout 10m $$($(GO) list ./... | grep -vxFf <($(GO) list $(RACE)))

# What takes too long for every change: many more kills, faults and generated cases, and a while of fuzzing.
test-long: setup-all setup-source
	SHIGUAN_TEST_LONG=1 $(GO) test -race -timeout 60m ./...
	$(MAKE) --no-print-directory test-suites
	@for target in $$(git grep -lE '^func Fuzz' -- '*_test.go'); do \
		dir=$$(dirname $$target); \
		for name in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/p' $$target); do \
			echo "fuzz $$dir $$name"; \
			$(GO) test ./$$dir -run '^$$' -fuzz "^$$name\$$" -fuzztime 60s -parallel 2; \
		done; \
	done

# The log beside its peers and at ten million records (five minutes, 6 GB of
# disk), and then all of Go's benchmarks. The page it writes is docs/bench/log.md.
bench: bench-log bench-go

bench-log: setup-build
	mkdir -p .build/bench
	$(GO) run ./cmd/internal/logbench -dir .build/bench -rounds 7 -report docs/bench/log.md

bench-go: setup-all
	$(GO) test -run '^$$' -bench . -benchmem ./...

# Other people's suites, directly and through the proxy, and whether all that the server executed is on record. SUITES=jdbc,pgx
# runs only these. The table of counts is docs/suites.md.
test-suites: setup-all
	@.ci/setup suites
	$(GO) run ./cmd/internal/suites -only '$(SUITES)' -table docs/suites.md

clean:
	rm -rf bin .build

setup-build:
	@.ci/setup build

setup-demo:
	@.ci/setup build postgres page

setup-all:
	@.ci/setup build postgres page clients faults

# PostgreSQL's own tests.
setup-source:
	@.ci/setup source
