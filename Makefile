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

.PHONY: test
test: ## run all tests; starts the Postgres that they need (ARGS="-race")
	go run ./internal/postgres/pgtest/cmd -- go test $(ARGS) ./...

.PHONY: race
race: ## run the tests of what runs in parallel with the race detector
	go run ./internal/postgres/pgtest/cmd -- go test -race -count=1 ./events/... ./internal/... ./nats/... ./workers/... ./api/...

.PHONY: bench
bench: ## measure the ratios of BENCHMARKS.md in one run
	go run ./internal/postgres/pgtest/cmd -- go run ./bench

.PHONY: lint
lint: ## check style and common faults
	go run $(LINT) run ./...

.PHONY: generate
generate: ## write generated code anew: api/api.gen.go from api/openapi.yaml
	cd api && go run $(CODEGEN) --config oapi-codegen.yaml openapi.yaml

.PHONY: build
build: ## build bin/toolboxai
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/toolboxai ./cmd/toolboxai

.PHONY: image
image: ## build the container image toolboxai:$(VERSION)
	docker build --build-arg VERSION=$(VERSION) -t toolboxai:$(VERSION) .
