# syntax=docker/dockerfile:1
FROM golang:1.26-bookworm AS build
ENV GOCACHE=/cache/build GOMODCACHE=/cache/mod
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/cache/mod go mod download
COPY . .
ARG VERSION=dev
RUN --mount=type=cache,target=/cache/mod --mount=type=cache,target=/cache/build \
    CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=${VERSION}" -o /out/toolboxai ./cmd/toolboxai

# No shell, no package manager, not root: the binary, certificates and time zones.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/toolboxai /toolboxai
EXPOSE 8009
ENTRYPOINT ["/toolboxai"]
CMD ["api"]
