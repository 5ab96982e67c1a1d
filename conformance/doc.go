// Package conformance holds real clients and a real Apache Kafka against Weir:
// the same scenarios against both, answers compared, and differences that
// docs/COMPATIBILITY.md does not explain are failures. Its tests need a JVM and
// run with `make conform` (build tag conform); nothing here is part of weir.
package conformance
