//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/testkit/brokers"
	"github.com/weir-stream/weir/internal/testkit/cluster"
	"github.com/weir-stream/weir/internal/testkit/kwire"
)

const (
	wideTopics = 20
	wideRest   = 20 * time.Second
)

// wide is a cluster of many processes.
type wide struct {
	t           *testing.T
	ctx         context.Context
	nodes       []*brokers.Broker
	controllers int // the first nodes; 0: all nodes are both
	adm         *kadm.Client
	topics      []string
}

// TestWideCluster runs a cluster of WEIR_E2E_NODES processes on one machine: "3+47" are three controllers and 47 brokers, "5" are
// five nodes in both roles. Topics of three replicas are over all of them; while producers write with acks=all a broker is
// killed, then the active controller, and some are restarted in turn. Nothing is lost or doubled, all is in sync in the end. It
// logs what the cluster costs at rest.
func TestWideCluster(t *testing.T) {
	shape := os.Getenv("WEIR_E2E_NODES")
	if shape == "" {
		t.Skip(`WEIR_E2E_NODES is not set, e.g. to "3+47" or "5"`)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	w := &wide{t: t, ctx: ctx}
	w.start(shape)
	w.populate()
	w.rest()
	w.faults()
}

func (w *wide) start(shape string) {
	t := w.t
	binary, err := filepath.Abs("../bin/weir")
	if err != nil {
		t.Fatal(err)
	}
	brokersOnly := 0
	if _, err := fmt.Sscanf(shape, "%d+%d", &w.controllers, &brokersOnly); err != nil {
		w.controllers = 0
		if _, err := fmt.Sscanf(shape, "%d", &brokersOnly); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	w.nodes, err = brokers.StartNodes(w.ctx, w.controllers+brokersOnly, brokers.Config{Binary: binary, Dir: t.TempDir(), Port: 24000, Each: func(node int, b *brokers.Broker) error {
		b.Props = map[string]string{"offsets.topic.num.partitions": "10"}
		switch {
		case w.controllers == 0:
		case node <= w.controllers:
			b.Props["process.roles"] = "controller"
			b.Ask = func(_ context.Context, b *brokers.Broker) error {
				conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", b.Controller))
				if err == nil {
					err = conn.Close()
				}
				return err
			}
		default:
			b.Props["process.roles"] = "broker"
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for i, b := range w.nodes {
			if t.Failed() && i < 6 {
				t.Logf("node %d:\n%s", i+1, b.LogTail(8))
			}
			b.Kill()
		}
	})
	t.Logf("%s nodes serve after %v", shape, time.Since(begin).Round(time.Millisecond))
	w.adm = kadm.NewClient(w.connect())
}

// brokers are the nodes that have records.
func (w *wide) brokers() []*brokers.Broker { return w.nodes[w.controllers:] }

func (w *wide) connect(opts ...kgo.Opt) *kgo.Client {
	w.t.Helper()
	var seeds []string
	for _, b := range w.brokers()[:5] {
		seeds = append(seeds, b.Addr)
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(seeds...), kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond })}, opts...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(cl.Close)
	return cl
}

// populate makes topics over all brokers.
func (w *wide) populate() {
	partitions := len(w.brokers())
	begin, two := time.Now(), "2"
	await(w.t, w.ctx, "all brokers are there", func() bool {
		all, err := w.adm.ListBrokers(w.ctx)
		return err == nil && len(all) == partitions
	})
	for i := range wideTopics {
		w.topics = append(w.topics, fmt.Sprint("wide-", i))
	}
	made, err := w.adm.CreateTopics(w.ctx, int32(partitions), 3, map[string]*string{"min.insync.replicas": &two}, w.topics...)
	if err != nil || made.Error() != nil {
		w.t.Fatal(err, made.Error())
	}
	w.whole("all replicas are in sync")
	w.t.Logf("%d partitions of three replicas made and in sync after %v", wideTopics*partitions, time.Since(begin).Round(time.Millisecond))
}

// whole waits until all brokers are there and all partitions have three replicas in sync.
func (w *wide) whole(what string) {
	w.t.Helper()
	next := time.Now()
	await(w.t, w.ctx, what, func() bool {
		if time.Now().Before(next) { // a look at all of it costs all of them
			return false
		}
		next = time.Now().Add(300 * time.Millisecond)
		md, err := w.adm.Metadata(w.ctx, w.topics...)
		if err != nil || len(md.Brokers) < len(w.brokers()) || md.Topics.Error() != nil {
			return false
		}
		for _, topic := range md.Topics {
			for _, p := range topic.Partitions {
				if p.Leader < 0 || len(p.ISR) < 3 {
					return false
				}
			}
		}
		return true
	})
}

// rest measures what the cluster costs when nobody uses it.
func (w *wide) rest() {
	w.adm.Close()
	w.adm = kadm.NewClient(w.connect())
	select {
	case <-time.After(wideRest):
	case <-w.ctx.Done():
	}
	before := w.used()
	select {
	case <-time.After(wideRest):
	case <-w.ctx.Done():
	}
	after := w.used()
	active := int(w.activeController())
	var sum, highest time.Duration
	var memory, most int64
	files := 0
	for i, b := range w.nodes {
		cpu := after[i] - before[i]
		sum += cpu
		if i+1 != active {
			highest = max(highest, cpu)
		}
		n, err := b.Anonymous()
		if err != nil {
			w.t.Fatal(err)
		}
		memory, most = memory+n, max(most, n)
		open, err := b.OpenFiles()
		if err != nil {
			w.t.Fatal(err)
		}
		files += open
	}
	percent := func(d time.Duration) float64 { return float64(d) / float64(wideRest) * 100 }
	w.t.Logf("at rest: CPU of all %.1f %% of a core, of the active controller (node %d) %.1f %%, of any other at most %.1f %%; memory of all %d MiB, of one at most %d MiB; %d open files",
		percent(sum), active, percent(after[active-1]-before[active-1]), percent(highest), memory>>20, most>>20, files)
}

func (w *wide) used() []time.Duration {
	var out []time.Duration
	for _, b := range w.nodes {
		cpu, err := b.CPU()
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, cpu)
	}
	return out
}

// activeController is the number of the node that leads the quorum.
func (w *wide) activeController() int32 {
	var id int32
	await(w.t, w.ctx, "a broker knows the active controller", func() bool {
		for _, b := range w.brokers() {
			conn, err := kwire.Dial(b.Addr)
			if err != nil {
				continue
			}
			req := kmsg.NewPtrDescribeQuorumRequest()
			req.Version = 1
			topic := kmsg.NewDescribeQuorumRequestTopic()
			topic.Topic = "__cluster_metadata"
			topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
			req.Topics = append(req.Topics, topic)
			resp, err := conn.Request(req)
			_ = conn.Close()
			if err != nil {
				continue
			}
			if r := resp.(*kmsg.DescribeQuorumResponse); r.ErrorCode == 0 && len(r.Topics) == 1 && len(r.Topics[0].Partitions) == 1 {
				id = r.Topics[0].Partitions[0].LeaderID
			}
			return id > 0
		}
		return false
	})
	return id
}

// faults has producers write while nodes go.
func (w *wide) faults() {
	topic, partitions := w.topics[0], len(w.brokers())
	var clients []*kgo.Client
	for range 2 {
		clients = append(clients, w.connect(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0)))
	}
	load := cluster.StartSteadyLoad(w.t, cluster.Pattern{Topic: topic, Partitions: partitions, Pace: 50 * time.Millisecond}, clients)
	goesOn := func(after string) {
		w.t.Helper()
		before, begin := load.Acked(), time.Now()
		await(w.t, w.ctx, "records are acknowledged after "+after, func() bool { return load.Acked() > before+20*partitions })
		w.t.Logf("%s: %d more records are acknowledged after %v", after, 20*partitions, time.Since(begin).Round(time.Millisecond))
	}
	goesOn("the beginning")
	back := func(b *brokers.Broker, what string) {
		w.t.Helper()
		begin := time.Now()
		if err := b.Run(w.ctx); err != nil {
			w.t.Fatal(err)
		}
		w.whole("all is in sync after " + what)
		w.t.Logf("%s: all is in sync %v after its start", what, time.Since(begin).Round(time.Millisecond))
	}
	victim := w.brokers()[partitions/2]
	victim.Kill()
	goesOn("a broker's kill")
	back(victim, "the killed broker")
	dead := w.nodes[w.activeController()-1]
	begin := time.Now()
	dead.Kill()
	name := "after-the-controller"
	await(w.t, w.ctx, "a topic can be made", func() bool {
		made, err := w.adm.CreateTopics(w.ctx, 1, 3, nil, name)
		return err == nil && (made.Error() == nil || strings.Contains(made.Error().Error(), "EXISTS"))
	})
	w.t.Logf("the active controller's kill: the next topic is made after %v", time.Since(begin).Round(time.Millisecond))
	goesOn("the active controller's kill")
	back(dead, "the killed controller")
	for i, b := range slices.Concat(w.nodes[:w.controllers], w.brokers()[:min(5, partitions)]) {
		if err := b.Stop(); err != nil {
			w.t.Error(err)
		}
		back(b, fmt.Sprint("restart ", i+1))
	}
	load.Finish()
	w.t.Logf("%d records were acknowledged", load.Acked())
	load.Check(w.ctx, w.connect(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())))
}
