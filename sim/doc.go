// Package sim runs whole clusters in one process and in virtual time (testing/synctest): real nodes of internal/node with
// their real logs, on files in memory that lose what was not synced, over a network that delays and parts, with clients
// that write and read all the while. A seed chooses the cluster, the faults and the load. After the faults a cluster must get
// well within a bound, and what its clients were told must be true; docs/TESTING.md has the invariants and the faults.
//
// A seed gives the same faults at the same times, and the same bytes of chance to the nodes; how goroutines are
// scheduled is not the seed's, so that a failure may take a few runs to come again. The pure cores (quorum,
// partition, controller) have simulations of their own beside them, which replay exactly.
package sim
