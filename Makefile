# Everything a developer does, one target each. `make` lists them.
# Nothing here needs a container engine; what needs more than Go says so.

GO       ?= go
FUZZTIME ?= 10s
ARGS     ?=

# The version comes from git where there is git; a build without it falls back to what Go recorded.
VERSION  ?= $(shell git describe --tags --dirty 2>/dev/null)
COMMIT   ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)
# The commit's date and not the build's: two builds of one commit are the same bytes.
DATE     ?= $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null)
LDFLAGS   = -s -w $(if $(VERSION),-X main.version=$(VERSION)) $(if $(COMMIT),-X main.commit=$(COMMIT)) $(if $(DATE),-X main.date=$(DATE))

# The race detector needs a C compiler. Without one the tests still run, and say what they left out.
CGO      := $(shell $(GO) env CGO_ENABLED)
RACE      = $(if $(filter 1,$(CGO)),-race)
SAY_RACE  = $(if $(RACE),,@echo 'SKIPPED the race detector in make $@: no C compiler found')

# A clone that belongs to somebody else (a CI checkout) must build too; the version comes from above.
export GOFLAGS ?= -buildvcs=false

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9_-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/inlong-bridge: static, with its version (TAGS=nopulsar leaves out Pulsar's client)
	CGO_ENABLED=0 $(GO) build $(if $(TAGS),-tags $(TAGS)) -trimpath -ldflags '$(LDFLAGS)' -o bin/inlong-bridge ./cmd/inlong-bridge

# The packages whose tests differ in a build without Pulsar's client.
NOPULSAR_PKGS = ./cmd/inlong-bridge ./connector/config ./connector/internal/queue

.PHONY: nopulsar
nopulsar: ## vet, build (bin/inlong-bridge-nopulsar) and test without Pulsar's client
	$(GO) vet -tags nopulsar ./...
	CGO_ENABLED=0 $(GO) build -tags nopulsar -trimpath -ldflags '$(LDFLAGS)' -o bin/inlong-bridge-nopulsar ./cmd/inlong-bridge
	$(GO) test -tags nopulsar $(NOPULSAR_PKGS) $(ARGS)

.PHONY: demo
demo: build ## kill a proxy under load and count what arrives; no network (ARGS='--json --seed 2')
	@./bin/inlong-bridge demo $(ARGS)

.PHONY: test
test: ## the whole test suite with the race detector (ARGS='-run Late ./connector/...')
	$(SAY_RACE)
	$(GO) test $(RACE) -shuffle=on $(if $(ARGS),$(ARGS),./...)

.PHONY: test-poison
test-poison: ## the sender's tests with buffers that are overwritten when they are given back
	$(SAY_RACE)
	$(GO) test $(RACE) -tags poison ./sdk/... $(ARGS)

.PHONY: test-schedules
test-schedules: ## 5,000 random schedules of faults for the sender, and the rules of delivery in full, in virtual time (about a minute)
	INLONG_BRIDGE_SCHEDULES=$(or $(SCHEDULES),5000) $(GO) test -run TestRandomFaults ./sdk $(ARGS)
	$(GO) test -count=1 ./connector/model $(ARGS)

.PHONY: test-alloc
test-alloc: ## the tests that count allocations, which the race detector makes meaningless
	$(GO) test -count=1 -run 'Allocate' ./sdk/... ./mapping/... ./connector/... $(ARGS)

.PHONY: soak-sender
soak-sender: ## the sender under load and faults in real time for SECONDS (600)
	$(SAY_RACE)
	SECONDS=$(or $(SECONDS),600) $(GO) test $(RACE) -tags soak -run TestSoak -v -timeout 0 ./sdk $(ARGS)

.PHONY: e2e
e2e: ## the bridge against Apache Kafka itself; needs Java 17 and Maven (ARGS='-run TestKafka/4/Compaction')
	$(GO) test -tags e2e -count=1 -timeout 25m -parallel 6 -v -run '^Test(Kafka|InLong)' $(ARGS) ./deploy/dev/e2e

.PHONY: e2e-records
e2e-records: ## a million records, one in a thousand odd, under kills: each accounted for (RECORDS=100000 SEED=1); needs Java 17 and Maven
	RECORDS=$(or $(RECORDS),1000000) E2E_SEED=$(SEED) $(GO) test -tags e2e -count=1 -timeout 2h -v -run '^TestKafkaRecords' $(ARGS) ./deploy/dev/e2e

.PHONY: e2e-pulsar
e2e-pulsar: ## the bridge and the reader against Apache Pulsar itself; needs Java 17 and Maven (ARGS='-run TestPulsarContract')
	$(GO) test -tags e2e -count=1 -timeout 15m -parallel 2 -v -run '^TestPulsar' $(ARGS) ./deploy/dev/e2e

.PHONY: e2e-up e2e-down
e2e-up: ## start an Apache Kafka and two devproxies that stay; deploy/dev/e2e/out/up.env says where
	@GO=$(GO) ./deploy/dev/e2e/up.sh up

e2e-down: ## stop what e2e-up started
	@./deploy/dev/e2e/up.sh down

.PHONY: soak-sinkdown
soak-sinkdown: ## all proxies gone for SOAK (30m) at 500 partitions of Apache Kafka: memory flat, nobody leaves the group
	SOAK=$(or $(SOAK),30m) $(GO) test -tags e2e -count=1 -timeout 0 -v -run '^TestSoakSinkDown$$' $(ARGS) ./deploy/dev/e2e

.PHONY: chaos
chaos: ## every fault under load, counted: deploy/dev/e2e/out/chaos.json and docs/chaos.md (CHAOS=all or full)
	$(GO) test -tags chaos -count=1 -timeout $(if $(filter full,$(CHAOS)),24h,20m) -parallel 4 -v $(or $(ARGS),-run '^TestChaos') ./deploy/dev/e2e

.PHONY: chaos-pulsar
chaos-pulsar: ## the faults that touch the queue, on Apache Pulsar: rows in deploy/dev/e2e/out/chaos.json and docs/chaos.md
	$(GO) test -tags chaos -count=1 -timeout 20m -parallel 3 -v -run '^TestPulsarChaos' $(ARGS) ./deploy/dev/e2e

.PHONY: bench
bench: ## every benchmark, for reading only (ARGS='-benchtime 3s')
	$(GO) test -run '^$$' -bench . -benchmem $(ARGS) ./...

.PHONY: bench-base
bench-base: ## build the bench of BASE=<commit> as bin/bench-base; then bin/bench sender|bridge -base bin/bench-base compares
	@BASE='$(BASE)' GO='$(GO)' ./deploy/dev/ci/bench-base.sh
	$(GO) build -o bin/bench ./deploy/dev/bench

.PHONY: bench-sender
bench-sender: ## the sender against the limit: a table and deploy/dev/bench/out/sender.json (ROUNDS=5 SECONDS=3 or RECORDS=n)
	$(GO) build -o bin/bench ./deploy/dev/bench
	./bin/bench sender -rounds $(or $(ROUNDS),5) -time $(or $(SECONDS),3)s $(if $(RECORDS),-records $(RECORDS)) $(ARGS)

.PHONY: faults-sender
faults-sender: build ## what a sender loses in six faults of a devproxy, as a table (ARGS="-only killed -sender 'my-sender {proxy}'")
	$(GO) build -o bin/faults ./deploy/dev/faults
	./bin/faults $(ARGS)

.PHONY: bench-compare
bench-compare: bin/benchstat ## benchmarks of the working tree against BASE=<commit> (COUNT=6 BENCH=. PKGS=./... BENCHTIME=1s)
	@BASE='$(BASE)' COUNT='$(COUNT)' BENCH='$(BENCH)' PKGS='$(PKGS)' BENCHTIME='$(BENCHTIME)' GO='$(GO)' ./deploy/dev/ci/bench-compare.sh

.PHONY: bench-bridge
bench-bridge: ## the bridge against the floor: a table and deploy/dev/bench/out/bridge.json (ROUNDS=5 MIB=1024 ARGS="-only '1 KiB'")
	$(GO) build -o bin/bench ./deploy/dev/bench
	BENCH_COMMIT=$(COMMIT) ./bin/bench bridge -rounds $(or $(ROUNDS),5) -mib $(or $(MIB),1024) $(ARGS)

.PHONY: bench-growth
bench-growth: ## CPU per record by partitions, streams, proxies, open pieces and lag: docs/growth-*.svg and the table of docs/performance.md (ROUNDS=3)
	$(GO) build -o bin/bench ./deploy/dev/bench
	BENCH_COMMIT=$(COMMIT) ./bin/bench growth -rounds $(or $(ROUNDS),3) $(ARGS)

# The JVM is the one that Kafka's own scripts start. The logs lie in memory: a disk that is busy decides the latency of every consumer.
.PHONY: bench-kafka
bench-kafka: ## the rows of bench bridge that need an Apache Kafka: starts one, measures, and ends it (ROUNDS=3); needs Java 17 and Maven
	$(GO) build -o bin/bench ./deploy/dev/bench
	@E2E_JVM='-Xmx3g -Xms1g -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35' E2E_KAFKA_LOGS=$(or $(KAFKA_LOGS),/dev/shm) GO=$(GO) ./deploy/dev/e2e/up.sh up
	@. ./deploy/dev/e2e/out/up.env; BENCH_COMMIT=$(COMMIT) ./bin/bench bridge -rounds $(or $(ROUNDS),3) -only 'Apache Kafka' -kafka $$E2E_KAFKA_BROKERS $(ARGS); \
		rc=$$?; ./deploy/dev/e2e/up.sh down; exit $$rc

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s) each (FUZZPART=1/3: a third of them)
	FUZZTIME=$(FUZZTIME) FUZZPART=$(FUZZPART) GO=$(GO) ./deploy/dev/ci/fuzz.sh

.PHONY: mutations
mutations: ## break each delivery rule in turn and see a test catch it
	$(GO) run ./deploy/dev/mutations $(ARGS)

.PHONY: vet
vet: ## go vet
	$(GO) vet ./...

# The module under deploy/dev/tools, the file in bin/, the package, flags of go build. Built once for each state of the module
# and kept in the user's cache directory (deploy/dev/ci/tool.sh).
TOOL_golangci-lint   = lint golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
TOOL_helm            = helm helm helm.sh/helm/v3/cmd/helm -ldflags '$(HELM_KUBE)'
TOOL_benchstat       = benchstat benchstat golang.org/x/perf/cmd/benchstat
TOOL_govulncheck     = vuln govulncheck golang.org/x/vuln/cmd/govulncheck
TOOL_goreleaser      = goreleaser goreleaser github.com/goreleaser/goreleaser/v2 -ldflags '-s -w'
TOOL_cyclonedx-gomod = cyclonedx-gomod cyclonedx-gomod github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod

bin/golangci-lint: deploy/dev/tools/lint/go.mod deploy/dev/tools/lint/go.sum
	@GO=$(GO) ./deploy/dev/ci/tool.sh $(TOOL_golangci-lint)

# Helm takes the Kubernetes that it renders for without a cluster from its linker, and 1.20 without that.
HELM_KUBE = $(foreach p,lint/rules chartutil,-X helm.sh/helm/v3/pkg/$p.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/$p.k8sVersionMinor=34)
bin/helm: deploy/dev/tools/helm/go.mod deploy/dev/tools/helm/go.sum
	@GO=$(GO) ./deploy/dev/ci/tool.sh $(TOOL_helm)

bin/benchstat: deploy/dev/tools/benchstat/go.mod deploy/dev/tools/benchstat/go.sum
	@GO=$(GO) ./deploy/dev/ci/tool.sh $(TOOL_benchstat)

bin/govulncheck: deploy/dev/tools/vuln/go.mod deploy/dev/tools/vuln/go.sum
	@GO=$(GO) ./deploy/dev/ci/tool.sh $(TOOL_govulncheck)

bin/goreleaser: deploy/dev/tools/goreleaser/go.mod deploy/dev/tools/goreleaser/go.sum
	@GO=$(GO) ./deploy/dev/ci/tool.sh $(TOOL_goreleaser)

bin/cyclonedx-gomod: deploy/dev/tools/cyclonedx-gomod/go.mod deploy/dev/tools/cyclonedx-gomod/go.sum
	@GO=$(GO) ./deploy/dev/ci/tool.sh $(TOOL_cyclonedx-gomod)

.PHONY: tool-built
tool-built: # exit 0 if TOOL=<file of bin/> needs no building: it lies in the user's cache directory
	@GO=$(GO) ./deploy/dev/ci/tool.sh --built $(TOOL_$(TOOL))

.PHONY: tools
tools: bin/golangci-lint bin/helm ## the pinned linter and Helm in bin/ (minutes, once)

.PHONY: lint
lint: bin/golangci-lint ## golangci-lint with the rules of .golangci.yml
	./bin/golangci-lint run --concurrency 2 --timeout 10m $(ARGS)

.PHONY: fmt
fmt: bin/golangci-lint ## format all Go files
	./bin/golangci-lint fmt

.PHONY: tidy-check
tidy-check: ## fail if go.mod or go.sum would change
	$(GO) mod tidy -diff

.PHONY: chart
chart: bin/helm build ## lint and render the Helm chart, and show that it refuses what it must
	HELM=bin/helm BRIDGE=bin/inlong-bridge ./deploy/dev/ci/chart.sh
	HELM=bin/helm $(GO) test -count=1 ./deploy/helm

.PHONY: tools-k8s
tools-k8s: ## build the Kubernetes control plane that make k8s runs (5 to 14 minutes, once; then no time)
	@GO=$(GO) ./deploy/dev/ci/k8s.sh build

.PHONY: k8s
k8s: bin/helm build ## the Helm chart on a real API server, every variant installed, upgraded and removed (ARGS='-run TestEviction')
	@GO=$(GO) HELM=bin/helm BRIDGE=bin/inlong-bridge ./deploy/dev/ci/k8s.sh run $(ARGS)

.PHONY: alerts
alerts: ## play each alert with promtool (from Debian's package prometheus, unpacked into bin/)
	GO=$(GO) ./deploy/dev/ci/alerts.sh $(ARGS)

.PHONY: dashboard-check
dashboard-check: ## evaluate each panel with a real Prometheus over a recorded run (a minute and a half)
	GO=$(GO) ./deploy/dev/ci/dashboard.sh $(ARGS)

.PHONY: image
image: ## run the Dockerfile's steps without a container engine and start the result (TARGETARCH=arm64: build only)
	VERSION='$(VERSION)' COMMIT='$(COMMIT)' DATE='$(DATE)' TARGETARCH='$(TARGETARCH)' ./deploy/dev/ci/image-steps.sh

.PHONY: docker
docker: ## build the image with docker (needs an engine)
	docker build -f deploy/Dockerfile --build-arg VERSION='$(VERSION)' --build-arg COMMIT='$(COMMIT)' --build-arg DATE='$(DATE)' -t $(IMAGE) .

IMAGE ?= inlong-bridge:$(if $(VERSION),$(VERSION),dev)
.PHONY: docker-push
docker-push: ## build the image for amd64 and arm64 and push it: IMAGE=registry.example.com/inlong-bridge:1.2.3 (needs docker buildx)
	docker buildx build -f deploy/Dockerfile --platform linux/amd64,linux/arm64 --build-arg VERSION='$(VERSION)' --build-arg COMMIT='$(COMMIT)' --build-arg DATE='$(DATE)' -t $(IMAGE) --push .

.PHONY: vulncheck
vulncheck: bin/govulncheck ## known vulnerabilities, by govulncheck and a database made from the module golang.org/x/vulndb
	GO=$(GO) GOVULNCHECK=bin/govulncheck ./deploy/dev/ci/vulncheck.sh

.PHONY: release-check
release-check: bin/goreleaser bin/cyclonedx-gomod ## a snapshot of linux/amd64 with deb and rpm, built twice: the same bytes
	./deploy/dev/ci/release.sh check

.PHONY: release-snapshot
release-snapshot: bin/goreleaser bin/cyclonedx-gomod ## archives, packages, SBOMs and checksums of all targets into out/release; publishes nothing
	./deploy/dev/ci/release.sh snapshot

.PHONY: pages
pages: ## manual pages and completions of the shells into out/release-pages
	GO=$(GO) ./deploy/dev/release/pages.sh out/release-pages

.PHONY: module
module: ## give the Go module a path that go get can fetch: MODULE=example.org/you/inlong-bridge (not PATH=, which is the shell's)
	@$(GO) build -o bin/module ./deploy/dev/module
	@./bin/module

.PHONY: module-check
module-check: bin/golangci-lint ## do that to a copy: build, lint, test it, and fetch sdk from a second module (two minutes)
	GO=$(GO) ./deploy/dev/module/check.sh

.PHONY: verify
verify: vet tidy-check lint test chart image ## what to run before a change is proposed

.PHONY: clean
clean: ## remove bin/
	rm -rf bin
