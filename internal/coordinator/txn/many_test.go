package txn

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/wire"
)

// open begins n transactions with long ids, each in a few partitions.
func (x *rig) open(n int) (ids []string) {
	for i := range n {
		id := fmt.Sprintf("%s%04d", strings.Repeat("x", 150), i)
		x.c.InitProducer(id, 5000, nil, func(code wire.Code, p Producer) {
			x.c.AddPartitions(id, p, tps("t", 0, 1, 2), x.version, func(wire.Code) {})
		})
		ids = append(ids, id)
	}
	synctest.Wait()
	return ids
}

func (x *rig) count(state string) int {
	n := -1
	x.c.List(Filter{States: []string{state}, DurationMs: -1}, func(_ wire.Code, _ []string, ids []Listing) { n = len(ids) })
	synctest.Wait()
	return n
}

// TestManyTransactionsTimeOutTogether: what is aborted at once is more than a batch of the log can hold.
func TestManyTransactionsTimeOutTogether(t *testing.T) {
	const n = 500
	for _, version := range []int8{0, 2} {
		inRig(t, func(t *testing.T, x *rig) {
			x.version = version
			x.logs.Log(0).SetMaxBatchBytes(10_000)
			x.again()
			x.open(n)
			if got := x.count("Ongoing"); got != n {
				t.Fatalf("%d transactions are open", got)
			}
			pass(10 * time.Second)
			if got := x.count("CompleteAbort"); got != n {
				t.Fatalf("%d of %d transactions were aborted", got, n)
			}
			for _, b := range x.logs.Log(0).Batches() {
				if len(b) > 10_000 {
					t.Fatalf("a batch of %d bytes", len(b))
				}
			}
		})
	}
}

// A transaction whose record alone is too large keeps no other from its end.
func TestTransactionThatCannotBeWrittenStandsAlone(t *testing.T) {
	inRig(t, func(t *testing.T, x *rig) {
		big := x.init("big", 5000, nil).ok(t)
		var parts []int32
		for i := range int32(1000) {
			parts = append(parts, i)
		}
		x.add("big", big, tps("t", parts...)...).ok(t)
		x.logs.Log(0).SetMaxBatchBytes(2_000)
		x.open(50)
		pass(10 * time.Second)
		if got := x.count("CompleteAbort"); got != 50 {
			t.Fatalf("%d of 50 transactions were aborted", got)
		}
		x.logs.Log(0).SetMaxBatchBytes(20_000) // max.message.bytes can be raised while the coordinator is there
		pass(10 * time.Second)
		if got := x.state("big"); got != "CompleteAbort" {
			t.Fatalf("the large one is %s", got)
		}
	})
}

// TestLargestTransactionCanBeEnded: what may begin can be written when it ends, which takes a few bytes more if its producer
// has no epoch left.
func TestLargestTransactionCanBeEnded(t *testing.T) {
	inRig(t, func(t *testing.T, x *rig) {
		last := values{producerID: 7, prevProducerID: -1, nextProducerID: -1, epoch: lastEpoch - 1, lastEpoch: -1, timeoutMs: 5000, startMs: -1}
		for i := range 40 {
			x.put(fmt.Sprintf("id-%02d", i), last, 2)
		}
		x.logs.Log(0).SetMaxBatchBytes(2_000)
		x.again()
		refused := 0
		for i := range 40 {
			id := fmt.Sprintf("id-%02d", i)
			p := x.init(id, 5000, nil).ok(t)
			if p.Epoch != lastEpoch {
				t.Fatalf("producer %+v", p)
			}
			var parts []int32
			for j := range int32(430 + i) {
				parts = append(parts, j)
			}
			if r := x.add(id, p, tps("t", parts...)...); r.code != wire.None {
				r.is(t, wire.UnknownServerError)
				refused++
				continue
			}
			if p := x.end(id, p, true).ok(t); p.Epoch != 0 {
				t.Fatalf("producer %+v", p)
			}
		}
		if refused == 0 || refused == 40 {
			t.Fatalf("%d of 40 are refused", refused)
		}
	})
}

// TestManyIdsExpireTogether: nothing is left of them, with no batch larger than the log takes.
func TestManyIdsExpireTogether(t *testing.T) {
	inRig(t, func(t *testing.T, x *rig) {
		x.logs.Log(0).SetMaxBatchBytes(10_000)
		x.cfg.IDExpiration, x.cfg.RemoveInterval = time.Hour, time.Minute
		x.again()
		x.open(500)
		pass(10 * time.Second)
		pass(2 * time.Hour)
		if got := x.count("CompleteAbort"); got != 0 {
			t.Fatalf("%d ids are left", got)
		}
		last := map[string]bool{}
		for _, r := range x.logs.Log(0).Records() {
			last[string(r.Key)] = r.Value == nil
		}
		for key, gone := range last {
			if !gone {
				t.Fatalf("no tombstone for %q", key)
			}
		}
	})
}

// TestManyTransactionsAreLoadedTogether: those that have no partition are completed at once.
func TestManyTransactionsAreLoadedTogether(t *testing.T) {
	inRig(t, func(t *testing.T, x *rig) {
		for i := range 300 {
			x.put(fmt.Sprint(strings.Repeat("x", 150), i), values{producerID: int64(i), prevProducerID: int64(i), nextProducerID: -1, epoch: 1, timeoutMs: 5000, startMs: 1,
				updateMs: 1, state: statePrepareAbort, version: 2}, 2)
		}
		x.logs.Log(0).SetMaxBatchBytes(10_000)
		x.again()
		if got := x.count("CompleteAbort"); got != 300 {
			t.Fatalf("%d of 300 are complete", got)
		}
	})
}

// TestRequestsForMarkersAreBounded: a broker takes only so much in one request.
func TestRequestsForMarkersAreBounded(t *testing.T) {
	inRig(t, func(t *testing.T, x *rig) {
		var parts []int32
		for i := range int32(20_000) {
			parts = append(parts, i)
		}
		x.leader = func(log.TopicPartition) (int32, bool) { return -1, true }
		for i := range 30 {
			id := fmt.Sprint("id-", i)
			p := x.init(id, 60_000, nil).ok(t)
			x.add(id, p, tps("t", parts...)...).ok(t)
			x.end(id, p, true).ok(t)
		}
		x.mu.Lock()
		x.leader = func(log.TopicPartition) (int32, bool) { return 1, true }
		x.mu.Unlock()
		pass(10 * time.Second)
		if got := x.count("CompleteCommit"); got != 30 {
			t.Fatalf("%d of 30 are complete", got)
		}
		for _, r := range x.markers() {
			r.Version = r.MaxVersion()
			if n := len(r.AppendTo(nil)); n > wire1MiB {
				t.Fatalf("a request of %d bytes", n)
			}
		}
	})
}

const wire1MiB = 1 << 20
