SHELL := /bin/bash
.DEFAULT_GOAL := help

LINT    := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
CODEGEN := github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)

.PHONY: help
help: ## print the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

.PHONY: dev
dev: ## run everything on embedded services: API on http://127.0.0.1:8009 (ARGS="--port 9000")
	go run ./cmd/toolboxai dev $(ARGS)

# The counts that processes share are tested on a real Redis.
.PHONY: redis
redis:
	@command -v redis-server >/dev/null || { echo "installing redis-server, which tests need"; \
	  if command -v apt-get >/dev/null; then $(if $(filter 0,$(shell id -u)),,sudo) sh -c 'apt-get update -q && apt-get install -qy --no-install-recommends redis-server'; \
	  elif command -v brew >/dev/null; then brew install redis; \
	  else echo "install redis-server (https://redis.io/docs/latest/operate/oss_and_stack/install/) and try again"; exit 1; fi; }

.PHONY: test
test: redis ## run all tests; installs and starts the Postgres and Redis that they need (ARGS="-race")
	go run ./internal/postgres/pgtest/cmd -- go test $(ARGS) ./...

.PHONY: race
race: redis ## run the tests of what runs in parallel with the race detector
	go run ./internal/postgres/pgtest/cmd -- go test -race -count=1 ./events/... $$(go list ./internal/... | grep -v /internal/roblox) ./nats/... \
	  ./workers ./workers/agents/ask ./workers/agents/chat ./workers/agents/eval ./api/...

.PHONY: chaos
chaos: redis ## run the platform's processes under faults for about 4 minutes (ARGS="-seed 7 -duration 30m -json")
	go run ./internal/postgres/pgtest/cmd -- go test -tags chaos -count=1 -v -timeout 0 -run '^TestChaos$$' ./internal/chaos -args $(ARGS)

.PHONY: bench
bench: redis ## measure the ratios of BENCHMARKS.md, and the platform beside two job libraries
	go run ./internal/postgres/pgtest/cmd -- go run ./bench
	cd bench/rivals && go run .

.PHONY: lint
lint: ## check style and common faults
	go run $(LINT) run ./...

.PHONY: chart
chart: ## hold the Kubernetes chart against an API server's rules, KEDA's and our own; no cluster is needed
	cd deploy/check && go vet ./... && go test $(ARGS) ./...

.PHONY: generate
generate: ## write generated code anew: api/api.gen.go from api/openapi.yaml
	cd api && go run $(CODEGEN) --config oapi-codegen.yaml openapi.yaml

.PHONY: build
build: ## build bin/toolboxai
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/toolboxai ./cmd/toolboxai

.PHONY: image
image: ## build the container image toolboxai:$(VERSION)
	docker build --build-arg VERSION=$(VERSION) -t toolboxai:$(VERSION) .
