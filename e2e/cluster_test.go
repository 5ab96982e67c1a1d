//go:build e2e

package e2e

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/testkit/brokers"
	"github.com/weir-stream/weir/internal/testkit/cluster"
)

// nodes starts three nodes, each a broker and a controller, as their settings files say, with more in them.
func nodes(t *testing.T, props map[string]string) []*brokers.Broker {
	t.Helper()
	binary, err := filepath.Abs("../bin/weir")
	if err != nil {
		t.Fatal(err)
	}
	all, err := brokers.StartNodes(t.Context(), 3, brokers.Config{Binary: binary, Dir: t.TempDir(), Port: 21600, Props: props})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for i, b := range all {
			if t.Failed() {
				t.Logf("node %d:\n%s", i+1, b.LogTail(15))
			}
			b.Kill()
		}
	})
	return all
}

// clusterMinutes is how long faults go on: WEIR_CLUSTER_MINUTES, or one.
func clusterMinutes(t *testing.T) time.Duration {
	text := os.Getenv("WEIR_CLUSTER_MINUTES")
	if text == "" {
		return time.Minute
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(n) * time.Minute
}

// inSync reports whether all partitions of a topic have a leader and all their replicas in sync.
func inSync(ctx context.Context, adm *kadm.Client, topic string) bool {
	all, err := adm.ListTopics(ctx, topic)
	if err != nil || all[topic].Err != nil {
		return false
	}
	for _, p := range all[topic].Partitions {
		if p.Leader < 0 || len(p.ISR) < 3 {
			return false
		}
	}
	return true
}

// await waits for a condition.
func await(t *testing.T, ctx context.Context, what string, ok func() bool) {
	t.Helper()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TestClusterUnderFaults has idempotent producers write with acks=all to three nodes, while one after the other is killed,
// frozen for longer than its session, or stopped in order. What was acknowledged is there at the end, once, in order.
func TestClusterUnderFaults(t *testing.T) {
	all := nodes(t, map[string]string{"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500", "replica.lag.time.max.ms": "5000"})
	length := clusterMinutes(t)
	ctx, cancel := context.WithTimeout(t.Context(), length+5*time.Minute)
	defer cancel()
	connect := func(opts ...kgo.Opt) *kgo.Client {
		cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(all[0].Addr, all[1].Addr, all[2].Addr), kgo.MetadataMinAge(50 * time.Millisecond),
			kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond })}, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	adm := kadm.NewClient(connect())
	two := "2"
	await(t, ctx, "the topic is made", func() bool {
		_, err := adm.CreateTopic(ctx, 4, 3, map[string]*string{"min.insync.replicas": &two}, "t")
		return err == nil || strings.Contains(err.Error(), "EXISTS")
	})
	await(t, ctx, "all replicas are in sync", func() bool { return inSync(ctx, adm, "t") })
	var clients []*kgo.Client
	for range 2 {
		clients = append(clients, connect(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0)))
	}
	load := cluster.StartLoad(t, "t", 4, clients)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	counts := map[string]int{}
	for end := time.Now().Add(length); time.Now().Before(end); {
		before := load.Acked()
		await(t, ctx, "records are acknowledged again", func() bool { return load.Acked() > before+200 })
		await(t, ctx, "all replicas are in sync again", func() bool { return inSync(ctx, adm, "t") })
		b := all[rng.IntN(3)]
		fault := []string{"kill", "freeze", "stop"}[rng.IntN(3)]
		counts[fault]++
		switch fault {
		case "kill":
			b.Kill()
		case "freeze":
			if err := syscall.Kill(b.PID(), syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			during := load.Acked()
			await(t, ctx, "the others go on", func() bool { return load.Acked() > during+200 })
			if err := syscall.Kill(b.PID(), syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			continue
		case "stop":
			if err := b.Stop(); err != nil {
				t.Error(err)
			}
		}
		during := load.Acked()
		await(t, ctx, "the others go on", func() bool { return load.Acked() > during+200 })
		if err := b.Run(ctx); err != nil {
			t.Fatal(err)
		}
	}
	await(t, ctx, "all replicas are in sync at the end", func() bool { return inSync(ctx, adm, "t") })
	load.Finish()
	t.Logf("%d records were acknowledged, faults %v", load.Acked(), counts)
	load.Check(ctx, connect(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())))
}
