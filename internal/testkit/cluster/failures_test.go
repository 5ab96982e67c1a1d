package cluster

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// underLoad runs fault again and again while producers write, heals, and checks that nothing acknowledged was lost, nothing
// is there twice, and order was kept.
func underLoad(t *testing.T, c *Cluster, rounds int, fault func(rng *rand.Rand)) {
	t.Helper()
	if testing.Short() {
		rounds = (rounds + 2) / 3
	}
	c.CreateTopic("t", 4, 3, "min.insync.replicas", "2")
	c.UntilInSync("t")
	var clients []*kgo.Client
	for range 2 {
		clients = append(clients, c.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0)))
	}
	load := StartLoad(t, "t", 4, clients)
	rng := Random(t, uint64(time.Now().UnixNano()))
	for range rounds {
		before := load.Acked()
		c.Eventually("records are acknowledged again", func() bool { return load.Acked() > before+300 })
		fault(rng)
	}
	for _, b := range c.Brokers {
		if !b.Running() {
			b.Start()
		}
	}
	c.UntilInSync("t")
	load.Finish()
	t.Logf("%d records were acknowledged", load.Acked())
	ctx, cancel := context.WithTimeout(c.Context(), 30*time.Second)
	defer cancel()
	load.Check(ctx, c.Client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())))
}

// someone is a running broker, if at least three run: else it waits until the others are in sync again, since the topic
// promises to outlive one failure at a time.
func someone(c *Cluster, rng *rand.Rand) *Broker {
	for _, b := range c.Brokers {
		if !b.Running() {
			b.Start()
		}
	}
	c.UntilInSync("t")
	return c.Brokers[rng.IntN(len(c.Brokers))]
}

func TestBrokersAreKilled(t *testing.T) {
	c := New(t, 3)
	underLoad(t, c, 6, func(rng *rand.Rand) { someone(c, rng).Kill() })
}

func TestBrokersLosePower(t *testing.T) {
	c := New(t, 3)
	underLoad(t, c, 6, func(rng *rand.Rand) { someone(c, rng).PowerCut(rng) })
}

func TestBrokersStopInTurn(t *testing.T) {
	c := New(t, 3)
	underLoad(t, c, 6, func(rng *rand.Rand) {
		b := someone(c, rng)
		b.Stop()
		b.Start()
	})
}

// With weir.durability=fsync a cut of all power at once loses nothing that was acknowledged.
func TestAllLosePowerWithFsync(t *testing.T) {
	c := New(t, 0)
	for range 3 {
		c.Add(func(b *Broker) { b.Fsync = true })
	}
	underLoad(t, c, 4, func(rng *rand.Rand) {
		for _, b := range c.Brokers {
			b.PowerCut(rng)
		}
		for _, b := range c.Brokers {
			b.Start()
		}
	})
}
