package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
)

// transactional are the settings of a cluster of n nodes with transactions.
func transactional(n int) []string {
	return []string{"transaction.state.log.num.partitions=3", fmt.Sprint("transaction.state.log.replication.factor=", n),
		fmt.Sprint("transaction.state.log.min.isr=", min(n, 2)), fmt.Sprint("offsets.topic.replication.factor=", n),
		"transaction.abort.timed.out.transaction.cleanup.interval.ms=200"}
}

// read reads a topic up to its end as it is now and returns the values, sorted.
func (k *cluster) read(topic string, committed bool) []string {
	k.t.Helper()
	level := kgo.ReadUncommitted()
	if committed {
		level = kgo.ReadCommitted()
	}
	c := k.client(kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(level), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer c.Close()
	adm := kadm.NewClient(c)
	var ends kadm.ListedOffsets
	k.eventually("the end of "+topic+" is known", func() bool {
		var err error
		if committed {
			ends, err = adm.ListCommittedOffsets(k.ctx(), topic)
		} else {
			ends, err = adm.ListEndOffsets(k.ctx(), topic)
		}
		return err == nil && ends.Error() == nil
	})
	var out []string
	at := map[int32]int64{}
	behind := func() bool {
		b := false
		ends.Each(func(o kadm.ListedOffset) { b = b || at[o.Partition] < o.Offset })
		return b
	}
	// Markers and aborted records are not told of: when nothing has come for a while, all was read.
	for quiet := 0; behind() && quiet < 4; {
		ctx, cancel := context.WithTimeout(k.ctx(), 250*time.Millisecond)
		fs := c.PollFetches(ctx)
		cancel()
		fs.EachRecord(func(r *kgo.Record) {
			out = append(out, string(r.Value))
			at[r.Partition] = max(at[r.Partition], r.Offset+1)
		})
		if quiet++; fs.NumRecords() > 0 {
			quiet = 0
		}
	}
	slices.Sort(out)
	return out
}

func send(t *testing.T, ctx context.Context, c *kgo.Client, topic string, values ...string) {
	t.Helper()
	for _, v := range values {
		if err := c.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatalf("send %s: %v", v, err)
		}
	}
}

func TestTransactionsOfOneNode(t *testing.T) {
	for _, level := range []int16{2, 0} {
		t.Run(fmt.Sprint("transaction.version ", level), func(t *testing.T) {
			k := newClusterOf(t, []string{"broker,controller"}, transactional(1)...)
			k.start(k.members...)
			if level != 2 {
				c := k.client()
				if _, err := kadm.NewClient(c).UpdateFeatures(k.ctx(), false, kadm.FeatureUpdate{Feature: image.FeatureTransaction, MaxVersionLevel: level, UpgradeType: 2}); err != nil {
					t.Fatal(err)
				}
			}
			k.transactOnOneNode()
		})
	}
}

func (k *cluster) transactOnOneNode() {
	t := k.t
	ctx := k.ctx()
	admin := k.client()
	k.create(admin, "t", 3, 1)
	c := k.client(kgo.TransactionalID("x"), kgo.TransactionTimeout(20*time.Second))
	for i, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit} {
		if err := c.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for j := range 6 {
			send(t, ctx, c, "t", fmt.Sprintf("%d-%d", i, j))
		}
		if err := c.EndTransaction(ctx, commit); err != nil {
			t.Fatalf("end %d: %v", i, err)
		}
	}
	want := []string{"0-0", "0-1", "0-2", "0-3", "0-4", "0-5", "2-0", "2-1", "2-2", "2-3", "2-4", "2-5"}
	if got := k.read("t", true); !slices.Equal(got, want) {
		t.Fatalf("read_committed: %v", got)
	}
	if got := k.read("t", false); len(got) != 18 {
		t.Fatalf("read_uncommitted: %v", got)
	}
	// Another producer of the id fences this one, and what it has open is aborted.
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	send(t, ctx, c, "t", "fenced")
	other := k.client(kgo.TransactionalID("x"))
	if err := other.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	send(t, ctx, other, "t", "other")
	err := c.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("zombie")}).FirstErr()
	if err == nil {
		err = c.EndTransaction(ctx, kgo.TryCommit)
	}
	if !errors.Is(err, kerr.InvalidProducerEpoch) && !errors.Is(err, kerr.ProducerFenced) && !errors.Is(err, kerr.InvalidTxnState) {
		t.Fatalf("the fenced producer is told %v", err)
	}
	if err := other.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if got := k.read("t", true); !slices.Equal(got, append(want, "other")) {
		t.Fatalf("after the fencing: %v", got)
	}
}

// TestMarkersAndQuestionsHaveTheirOwnConnections: a broker answers the requests of one after the other, and a marker may wait
// for a slow replica.
func TestMarkersAndQuestionsHaveTheirOwnConnections(t *testing.T) {
	k := newClusterOf(t, []string{"broker,controller"}, transactional(1)...)
	k.start(k.members...)
	n := k.members[0].n
	questions, err := n.colleagues.to(n.id, kmsg.NewPtrAddPartitionsToTxnRequest().Key())
	if err != nil {
		t.Fatal(err)
	}
	markers, err := n.colleagues.to(n.id, kmsg.NewPtrWriteTxnMarkersRequest().Key())
	if err != nil {
		t.Fatal(err)
	}
	if questions == markers {
		t.Fatal("markers and questions share a connection")
	}
	if again, err := n.colleagues.to(n.id, kmsg.NewPtrWriteTxnMarkersRequest().Key()); err != nil || again != markers {
		t.Fatalf("the next markers go another way: %v", err)
	}
	if limit := n.config.Load().Millis("request.timeout.ms"); n.markers.Timeout > limit/2 {
		t.Fatalf("a marker may take %v, and its request %v", n.markers.Timeout, limit)
	}
}

func TestTransactionTimesOut(t *testing.T) {
	k := newClusterOf(t, []string{"broker,controller"}, transactional(1)...)
	k.start(k.members...)
	admin := k.client()
	k.create(admin, "t", 1, 1)
	c := k.client(kgo.TransactionalID("x"), kgo.TransactionTimeout(500*time.Millisecond))
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	send(t, k.ctx(), c, "t", "late")
	adm := kadm.NewClient(admin)
	k.eventually("the transaction is aborted", func() bool {
		d, err := adm.DescribeTransactions(k.ctx(), "x")
		return err == nil && d["x"].State == "CompleteAbort"
	})
	if got := k.read("t", true); len(got) != 0 {
		t.Fatalf("read %v", got)
	}
	ps, err := adm.DescribeProducers(k.ctx(), kadm.TopicsSet{"t": {0: {}}})
	if err != nil {
		t.Fatal(err)
	}
	if p := ps.SortedProducers(); len(p) != 1 || p[0].CurrentTxnStartOffset != -1 || p[0].ProducerEpoch != 1 || p[0].CoordinatorEpoch != 0 {
		t.Fatalf("producers: %+v", p)
	}
}

// TestExactlyOnceUnderKills: records are consumed, changed and produced in transactions, while nodes are killed in turn: in the
// end each has come out once.
func TestExactlyOnceUnderKills(t *testing.T) {
	k := newClusterOf(t, []string{"broker,controller", "broker,controller", "broker,controller"}, append(transactional(3), "min.insync.replicas=2")...)
	k.start(k.members...)
	const n = 3000
	c := k.client(kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	k.create(c, "in", 4, 3)
	k.create(c, "out", 4, 3)
	for i := range n {
		c.Produce(k.ctx(), &kgo.Record{Topic: "in", Value: fmt.Append(nil, i)}, nil)
	}
	if err := c.Flush(k.ctx()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*clusterDeadline)
	defer cancel()
	var all []string
	for _, m := range k.members {
		all = append(all, m.address)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for w := range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			k.etl(ctx, all, fmt.Sprint("etl-", w), stop)
		}()
	}
	come := func() int { return len(k.read("out", true)) }
	for i, before := 0, 0; before < n; i++ {
		if ctx.Err() != nil {
			k.explainTransactions(c)
			t.Fatalf("not done in time: %d of %d", come(), n)
		}
		if i < 6 {
			m := k.members[i%3]
			m.kill()
			k.start(m)
			k.untilInSync("out", 3)
		}
		start := before
		for before = come(); before < min(start+200, n) && ctx.Err() == nil; before = come() {
		}
	}
	close(stop)
	wg.Wait()
	got := k.read("out", true)
	seen := map[string]int{}
	for _, v := range got {
		seen[v]++
	}
	if len(got) != n {
		t.Errorf("%d records came out", len(got))
	}
	for i := range n {
		if seen[fmt.Sprint("done ", i)] != 1 {
			t.Errorf("record %d came out %d times", i, seen[fmt.Sprint("done ", i)])
		}
	}
}

// explainTransactions logs what is known of transactions and how far their topics and group are.
func (k *cluster) explainTransactions(c *kgo.Client) {
	adm := kadm.NewClient(c)
	ids, err := adm.ListTransactions(k.ctx(), nil, nil)
	k.t.Logf("transactions: %+v %v", ids, err)
	ds, err := adm.DescribeTransactions(k.ctx(), "etl-0", "etl-1")
	k.t.Logf("described: %+v %v", ds, err)
	stable, _ := adm.ListCommittedOffsets(k.ctx(), "in", "out", "__consumer_offsets")
	ends, _ := adm.ListEndOffsets(k.ctx(), "in", "out", "__consumer_offsets")
	ends.Each(func(o kadm.ListedOffset) {
		s, _ := stable.Lookup(o.Topic, o.Partition)
		k.t.Logf("%s-%d ends at %d, stable up to %d", o.Topic, o.Partition, o.Offset, s.Offset)
	})
	offsets, err := adm.FetchOffsets(k.ctx(), "etl")
	offsets.Each(func(o kadm.OffsetResponse) { k.t.Logf("group at %s-%d %d %v", o.Topic, o.Partition, o.At, o.Err) })
	k.t.Log(err)
	groups, err := adm.DescribeGroups(k.ctx(), "etl")
	k.t.Logf("%+v %v", groups, err)
	ps, err := adm.DescribeProducers(k.ctx(), kadm.TopicsSet{"out": {0: {}, 1: {}, 2: {}, 3: {}}, "__consumer_offsets": {0: {}, 1: {}}})
	for _, p := range ps.SortedProducers() {
		k.t.Logf("%+v %v", p, err)
	}
}

// etl moves records from in to out until it is stopped, and begins anew when it is fenced.
func (k *cluster) etl(ctx context.Context, seeds []string, id string, stop chan struct{}) {
	for ctx.Err() == nil {
		s, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(seeds...), kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ConsumerGroup("etl"), kgo.ConsumeTopics("in"),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.MetadataMinAge(50*time.Millisecond),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.TransactionTimeout(10*time.Second), kgo.SessionTimeout(6*time.Second))
		if err != nil {
			k.t.Error(err)
			return
		}
		again := k.move(ctx, s, stop)
		s.Close()
		if !again {
			return
		}
	}
}

func (k *cluster) move(ctx context.Context, s *kgo.GroupTransactSession, stop chan struct{}) (again bool) {
	for {
		select {
		case <-stop:
			return false
		default:
		}
		pctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		fs := s.PollRecords(pctx, 40)
		cancel()
		if fs.NumRecords() == 0 {
			if ctx.Err() != nil {
				return false
			}
			continue
		}
		if err := s.Begin(); err != nil {
			return true
		}
		var first error
		var mu sync.Mutex
		var sent sync.WaitGroup
		sent.Add(fs.NumRecords())
		fs.EachRecord(func(r *kgo.Record) {
			s.Produce(ctx, &kgo.Record{Topic: "out", Value: append([]byte("done "), r.Value...)}, func(_ *kgo.Record, err error) {
				mu.Lock()
				defer mu.Unlock()
				defer sent.Done()
				if first == nil {
					first = err
				}
			})
		})
		sent.Wait()
		_, err := s.End(ctx, kgo.TransactionEndTry(first == nil))
		if err != nil {
			if !strings.Contains(err.Error(), "context") {
				k.t.Logf("%v: end of a transaction: %v; %v", time.Now().Format("05.000"), err, first)
			}
			return true
		}
	}
}
