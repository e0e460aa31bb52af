# What each target does is in scripts/; here is only what to type.
.DEFAULT_GOAL := help
export CGO_ENABLED ?= 0

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/holdshort, one static binary
	go build -trimpath -o bin/holdshort ./cmd/holdshort

demo: build ## start one workload under every kind of constraint and show what held
	@scripts/demo.sh

test: ## every test that this machine can run; PKG=./checkpoint/... for some
	@scripts/deps.sh test
	@scripts/test.sh $(PKG)

suites: ## the Ginkgo suites against our own launcher; ARGS='-ginkgo.label-filter=ns:net -ginkgo.v'
	go test ./suites/selftest -run TestSuites$$ -args $(ARGS)

examples: ## the example modules, as their authors would run them
	cd examples/enginesuite && go vet ./... && go test ./...
	cd examples/kubernetes && go vet ./... && go test ./...
	cd report/schema && go vet ./... && go test ./...

race: ## the same under the race detector
	@scripts/deps.sh test
	@CGO_ENABLED=1 scripts/test.sh -race $(PKG)

mutants: ## plant faults in launcher, observer and oracle, one at a time: how many cases does it take to find each; ARGS='-v -run umask'
	go run -tags mutants ./internal/cmd/mutants $(or $(ARGS),-o docs/mutants.md)

mutate: ## change our own code, one operator at a time: does a test fail; PKG=./internal/cbpf ARGS='-files compare -v'
	nice -n 10 go run ./internal/cmd/mutate $(ARGS) $(or $(PKG),./internal/cbpf) $(if $(TESTARGS),-- $(TESTARGS))

soak: ## N random, verified launches (default 10000): no finding, nothing left behind, no growth; FREEZE=1 with freeze mode
	@scripts/soak.sh $(or $(N),10000) $(if $(FREEZE),-freeze) $(ARGS)

WHAT ?= suites,fuzz,compare
matrix: build ## all tests, N verified random launches, and the same launches compared, on every kernel of the catalogue; KERNELS=5.10,host PKG=./probes WHAT=fuzz; WHAT=engines: versions of other people's engines, from Debian suites
	@scripts/deps.sh vm guests
	@scripts/matrix.sh $(if $(KERNELS),--kernels $(KERNELS)) --what $(WHAT) -n $(or $(N),2000) --seed $(or $(SEED),1) --json matrix.json $(ARGS) $(PKG)

ARM64 ?= 6.1,6.12
matrix-arm64: build ## the constraints' tests on kernels for arm64, by translation; KERNELS=6.12
	@scripts/deps.sh vm
	@bin/holdshort matrix --arch arm64 --short --elsewhere scripts/matrix-arm64-elsewhere.txt --kernels $(or $(KERNELS),$(ARM64)) --json matrix-arm64.json $(ARGS) $(or $(PKG),./checkpoint/... ./probes/... ./harness/engine ./suites/selftest)

guest: build ## a short guest: the example module's own tests, and those of the agent, on another kernel; KERNEL=6.1
	@scripts/deps.sh vm
	@scripts/guest.sh $(KERNEL)

guest-constraints: build ## sabotage tests of what this kernel lacks, in guests that have it; KERNELS="6.12 7.2"
	@scripts/deps.sh vm guests
	@scripts/guest-constraints.sh $(KERNELS)

OUT ?= fuzz.jsonl
fuzz: build ## random, verified launches with all findings made small; OUT=FILE (gone on with) SEED=7, N=1000 or FOR=20m, SHARD=1/4
	@scripts/fuzz.sh $(OUT) $(if $(SEED),--seed $(SEED)) $(if $(FOR),--for $(FOR),-n $(or $(N),1000)) --shard $(or $(SHARD),1/1) $(ARGS)

replay: build ## the findings in DIR again; it is well if they are gone
	@scripts/replay.sh $(or $(DIR),.)

report: build ## one report of FILES=results...; ARGS='--html report.html'
	@bin/holdshort report $(or $(FILES),.) $(ARGS)

engines: ## other people's engines, as far as installed: a table of fixed cases and N random requests each, then the tests and suites that run them; GATE=1 fails on what is not explained
	@scripts/deps.sh engines
	@go run ./internal/cmd/engines -n $(or $(N),30) -seed $(or $(SEED),1) $(if $(GATE),-gate) $(ARGS)
	@scripts/test.sh -run='Engine|Verify|Suites' ./harness/engine ./harness ./suites/selftest
	@$(MAKE) --no-print-directory examples

action: ## what action.yml does, here: CONFIG=config.json ENGINE=bwrap, or COMMAND='...'
	@scripts/action.sh

unprivileged: ## every test that the caller's user can run; installs nothing
	@scripts/test.sh $(PKG)

bench: ## launch latency and throughput against a C floor, os/exec and container runtimes; ARGS=-short, ARGS=-shim: what the shim adds to a runtime
	@scripts/bench.sh $(ARGS)

lint: ## golangci-lint, shellcheck, and actionlint for the workflows
	@scripts/deps.sh lint
	@scripts/lint.sh

fmt: ## format Go and C in place, and mend what the linters can mend
	@scripts/lint.sh --fix

generate: ## rebuild the agent and the BPF objects (clang 14)
	@scripts/deps.sh generate
	@scripts/generate.sh

docs: ## rewrite the pages that are made from code: docs/constraints.md, docs/checklist.md, docs/historic.md
	go run ./internal/cmd/gendocs docs

verify-generated: ## fail if a committed generated file is not what its source builds
	@scripts/deps.sh generate
	@scripts/verify-generated.sh

cover: ## coverage of all packages by all tests
	@scripts/test.sh -coverpkg=./... -coverprofile=coverage.out $(PKG)
	@go tool cover -func=coverage.out | tail -n 1

check: ## what CI runs
	@.ci/run

PREFIX ?= /usr/local
install: build ## copy the binary to $(PREFIX)/bin
	install -D -m 0755 bin/holdshort $(DESTDIR)$(PREFIX)/bin/holdshort

clean: ## remove what was built
	rm -rf bin coverage.out bench.json matrix.json matrix-arm64.json

.PHONY: help build demo test suites examples race mutants mutate soak matrix matrix-arm64 guest guest-constraints fuzz replay report engines action unprivileged bench lint fmt generate docs verify-generated cover check install clean
