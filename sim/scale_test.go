package sim

import (
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"
)

// TestScale runs three whole nodes with many partitions of three replicas: 6,000, or WEIR_SIM_PARTITIONS (a cluster of 60,000
// takes some gigabytes and minutes). The active controller's node is killed; another one decides within two seconds. A change
// of the metadata is at the other nodes within 50 ms, 99 times of 100.
func TestScale(t *testing.T) {
	partitions := int(number("WEIR_SIM_PARTITIONS", 6000))
	if testing.Short() {
		partitions = 600
	}
	cryptotest.SetGlobalRandom(t, 1)
	var out *crowded
	synctest.Test(t, func(t *testing.T) {
		var err error
		if out, err = newCluster(t, 1).crowd(partitions); err != nil {
			t.Fatal(err)
		}
	})
	median, last := out.changes[len(out.changes)/2], out.changes[len(out.changes)*99/100]
	t.Logf("%d partitions made in %v; %d MiB of heap, %d B a replica", out.partitions, out.made, out.heap>>20, out.heap/uint64(3*out.partitions))
	t.Logf("CPU is that of all three nodes and the client together; the collector rests from the changes on")
	t.Logf("ten seconds of rest: %v", out.idle)
	t.Logf("a change at the other nodes: p50 %v, p99 %v", median, last)
	t.Logf("active controller killed: next decision after %v, all led after %v; in sync again after %v", out.failover, out.led, out.back)
	if out.failover.virtual >= 2*time.Second || !testing.Short() && out.failover.total() >= 2*time.Second { // -short goes with the race detector
		t.Errorf("failover took %v", out.failover)
	}
	if last.virtual >= 50*time.Millisecond || !testing.Short() && last.total() >= 50*time.Millisecond {
		t.Errorf("p99 of a change is %v", last)
	}
}

// TestWide runs three controllers and nine brokers, or WEIR_SIM_BROKERS (47 take a minute), apart from each other, over which
// topics of three replicas are spread. A broker is killed, then the active controller, and some nodes are restarted in turn, with
// a record written to each partition each time. All is in sync after each, and nothing is lost.
func TestWide(t *testing.T) {
	brokers := int(number("WEIR_SIM_BROKERS", 9))
	if testing.Short() {
		brokers = 5
	}
	cryptotest.SetGlobalRandom(t, 1)
	var out *widely
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		var err error
		if out, err = c.spread(3, brokers); err != nil {
			t.Error(err)
		}
		for _, b := range c.broken {
			t.Error(b)
		}
	})
	t.Logf("3 controllers and %d brokers serve, and %d partitions of three replicas are in sync, after %v", brokers, (1+wideTopics)*brokers, out.up)
	t.Logf("ten seconds of rest: %v, of all", out.idle)
	t.Logf("a broker killed: all partitions took a record after %v; the active controller killed: a topic was made after %v", out.broker, out.decided)
	t.Logf("restarts in turn: %v; %d records", out.restarts, out.written)
}
