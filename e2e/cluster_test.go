//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/testkit/brokers"
	"github.com/weir-stream/weir/internal/testkit/cluster"
)

// nodes starts three nodes, each a broker and a controller, as their settings files say, with more lines in them.
func nodes(t *testing.T, lines ...string) []*brokers.Broker {
	t.Helper()
	binary, err := filepath.Abs("../bin/weir")
	if err != nil {
		t.Fatal(err)
	}
	var ports []int
	for next := 21600; len(ports) < 6; next = ports[len(ports)-1] + 1 {
		p, err := brokers.FreePort(next)
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, p)
	}
	voters := fmt.Sprintf("1@127.0.0.1:%d,2@127.0.0.1:%d,3@127.0.0.1:%d", ports[1], ports[3], ports[5])
	var all []*brokers.Broker
	for i := range 3 {
		b := &brokers.Broker{Config: brokers.Config{Binary: binary, Dir: filepath.Join(t.TempDir(), fmt.Sprint("node", i+1))},
			Addr: fmt.Sprintf("127.0.0.1:%d", ports[2*i]), Controller: ports[2*i+1]}
		if err := os.MkdirAll(filepath.Join(b.Dir, "logs"), 0o755); err != nil {
			t.Fatal(err)
		}
		props := strings.Join(append([]string{
			"process.roles=broker,controller", fmt.Sprint("node.id=", i+1), "controller.quorum.voters=" + voters, "controller.listener.names=CONTROLLER",
			fmt.Sprintf("listeners=PLAINTEXT://%s,CONTROLLER://127.0.0.1:%d", b.Addr, b.Controller), "advertised.listeners=PLAINTEXT://" + b.Addr,
			"log.dirs=" + b.DataDir(), "offsets.topic.num.partitions=4", "group.initial.rebalance.delay.ms=0",
		}, lines...), "\n")
		if err := os.WriteFile(b.PropsFile(), []byte(props+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(binary, "kafka-storage", "format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c", b.PropsFile()).CombinedOutput(); err != nil {
			t.Fatalf("format: %v\n%s", err, out)
		}
		all = append(all, b)
	}
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, b := range all {
		wg.Go(func() { errs[i] = b.Run(t.Context()) })
	}
	wg.Wait()
	t.Cleanup(func() {
		for i, b := range all {
			if t.Failed() {
				t.Logf("node %d:\n%s", i+1, b.LogTail(15))
			}
			b.Kill()
		}
	})
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
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
	all := nodes(t, "broker.session.timeout.ms=3000", "broker.heartbeat.interval.ms=500", "replica.lag.time.max.ms=5000")
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
