package node

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// killAll ends the members at the same moment.
func (k *cluster) killAll() {
	var wg sync.WaitGroup
	for _, m := range k.members {
		wg.Go(m.kill)
	}
	wg.Wait()
}

// underLoad has records sent while f runs, which is called when some of them are acknowledged, and waits until all are.
func (k *cluster) underLoad(c *kgo.Client, topic string, from, n int, f func()) {
	k.t.Helper()
	some := make(chan struct{})
	var mu sync.Mutex
	acked := 0
	for i := range n {
		c.Produce(k.ctx(), &kgo.Record{Topic: topic, Value: fmt.Append(nil, topic, "-", from+i)}, func(_ *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				k.t.Errorf("record %d of %s: %v", from+i, topic, err)
			}
			if acked++; acked == n/10 {
				close(some)
			}
		})
	}
	<-some
	f()
	if err := c.Flush(k.ctx()); err != nil {
		k.t.Fatal(err)
	}
}

// TestAllKilledAtOnce: the processes of all nodes die at the same moment while records are written, again and again. Nothing
// is synced, and nothing is lost: what was acknowledged is there once, and any two of the three nodes go on without the
// third, whoever led before.
func TestAllKilledAtOnce(t *testing.T) {
	k := newClusterOf(t, threeCombined, "min.insync.replicas=2", "broker.session.timeout.ms=2000", "broker.heartbeat.interval.ms=200")
	k.start(k.members...)
	c := k.client(kgo.MaxBufferedRecords(100_000), kgo.ProducerBatchMaxBytes(4<<10))
	k.create(c, "kept", 6, 3)
	k.untilInSync("kept", 3)
	const each = 1500
	for round, late := range k.members {
		k.underLoad(c, "kept", round*each, each, func() {
			k.killAll()
			var two []*member
			for _, m := range k.members {
				if m != late {
					two = append(two, m)
				}
			}
			k.start(two...)
			for _, m := range two {
				if m.n.logs.PreviousBrokerEpoch() < 0 {
					t.Errorf("round %d: node %d takes its death for a loss", round, m.id)
				}
			}
			k.eventually("all partitions have leaders without the third node", func() bool {
				for _, p := range two[0].n.image.Load().TopicByName("kept").Partitions {
					if p.Leader < 0 || p.Leader == int32(late.id) {
						return false
					}
				}
				return true
			})
			k.start(late)
		})
		k.untilInSync("kept", 3)
	}
	k.consume("kept", 3*each)
}

// TestPowerOfAllIsLost: the same with machines that lose their power is no death of processes.
func TestPowerOfAllIsLost(t *testing.T) {
	k := newClusterOf(t, threeCombined)
	k.start(k.members...)
	c := k.client()
	k.create(c, "cut", 3, 3)
	k.produce(c, "cut", 10)
	k.killAll()
	for i, m := range k.members {
		m.fs = m.fs.Crash(rand.New(rand.NewPCG(uint64(i), 1)))
	}
	k.start(k.members...)
	for _, m := range k.members {
		if e := m.n.logs.PreviousBrokerEpoch(); e >= 0 {
			t.Errorf("node %d knows the epoch %d", m.id, e)
		}
	}
	k.eventually("all partitions have leaders", func() bool {
		for _, p := range k.members[0].n.image.Load().TopicByName("cut").Partitions {
			if p.Leader < 0 {
				return false
			}
		}
		return true
	})
}
