// Package e2e starts the built binary as a person does and looks at what they
// see: make up and down, the service by its verbs and by HTTP, the README's tour, crashes under load. It needs no
// JVM; its tests run with `make check` (build tag e2e).
package e2e
