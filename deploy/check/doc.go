// Package check holds deploy/chart against what will judge it later, with no cluster: Helm's linter, the validation and the pod
// security standards of a real API server, KEDA's own schemas, the program's source, and rules that a reviewer would hold it to.
//
// It is a module of its own because it imports Helm and Kubernetes, which nothing that runs should. It has tests only:
//
//	cd deploy/check && go test ./...
package check
