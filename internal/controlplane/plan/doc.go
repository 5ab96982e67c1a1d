// Package plan works out what an operation would do: which steps, which
// partitions and bytes move where, how long it takes, what restarts, what can
// go wrong and how to go back. What cannot be done says why, at once.
//
// It is pure: wanted and observed in, plan out; the same input gives the same
// plan. It runs nothing (reconcile does) and asks no cluster (observe does).
package plan
