package group

import (
	"testing"
	"testing/synctest"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/wire"
)

func (b *bench) commitTxn(pid int64, epoch int16, group string, generation int32, member string, p int32, off int64) {
	r := &Commit{Group: group, Generation: generation, MemberID: member, RetentionMs: -1, Transaction: &Transaction{ProducerID: pid, Epoch: epoch},
		Topics: []CommitTopic{{Name: "t", Partitions: []CommitPartition{{Index: p, Offset: off, LeaderEpoch: -1}}}}}
	b.c.CommitOffsets(r, func(codes []wire.Code) { b.say("txn %v", codes[0].Name()) })
}

func (b *bench) commitPlain(group string, p int32, off int64) {
	r := &Commit{Group: group, Generation: -1, RetentionMs: -1,
		Topics: []CommitTopic{{Name: "t", Partitions: []CommitPartition{{Index: p, Offset: off, LeaderEpoch: -1}}}}}
	b.c.CommitOffsets(r, func(codes []wire.Code) { b.say("plain %v", codes[0].Name()) })
}

func (b *bench) endTxn(pid int64, epoch int16, commit bool) {
	b.c.EndTransaction(0, Marker{ProducerID: pid, Epoch: epoch, CoordinatorEpoch: 1, Commit: commit, Version: 2}, func(c wire.Code) { b.say("end %v", c.Name()) })
}

func (b *bench) look(group string, p int32, stable bool) {
	b.c.FetchOffsets(group, Anybody, []FetchTopic{{Name: "t", Partitions: []int32{p}}}, stable, func(c wire.Code, ts []FetchedTopic) {
		if o := ts[0].Partitions[0]; o.Unstable {
			b.say("unstable")
		} else {
			b.say("at %d", o.Offset)
		}
	})
}

func (b *bench) expect(t *testing.T, want string) {
	t.Helper()
	if got := b.heard(); got != want {
		t.Fatalf("heard\n%swant\n%s", got, want)
	}
}

func TestOffsetsOfATransactionCountFromItsCommitOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(DefaultConfig())
		defer b.crash()
		b.commitPlain("g", 0, 3)
		b.commitTxn(7, 0, "g", -1, "", 0, 10)
		b.look("g", 0, false)
		b.look("g", 0, true)
		b.expect(t, "plain NONE\ntxn NONE\nat 3\nunstable\n")
		b.crash()
		b.start() // the same from the log
		b.look("g", 0, false)
		b.look("g", 0, true)
		b.expect(t, "at 3\nunstable\n")
		b.endTxn(7, 1, true)
		b.look("g", 0, true)
		b.expect(t, "end NONE\nat 10\n")
		b.commitTxn(7, 1, "g", -1, "", 0, 20)
		b.endTxn(7, 2, false)
		b.look("g", 0, true)
		b.expect(t, "txn NONE\nend NONE\nat 10\n")
		b.commitTxn(7, 2, "g", -1, "", 0, 30)
		b.commitPlain("g", 0, 40) // later, so it stays
		b.endTxn(7, 3, true)
		b.look("g", 0, true)
		b.expect(t, "txn NONE\nplain NONE\nend NONE\nat 40\n")
		b.crash()
		b.start()
		b.look("g", 0, true)
		b.expect(t, "at 40\n")
	})
}

func TestBatchesOfATransactionAreThoseOfItsProducer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(DefaultConfig())
		defer b.crash()
		log := b.logs.Log(0)
		log.Hold()
		b.commitPlain("g", 0, 3)
		synctest.Wait()
		b.commitPlain("g", 1, 3)
		b.commitTxn(7, 4, "h", -1, "", 0, 10)
		b.commitPlain("g", 2, 3)
		b.endTxn(7, 5, true)
		synctest.Wait()
		log.Release()
		b.heard()
		var got []int64
		for _, x := range log.Batches() {
			got = append(got, x.ProducerID())
		}
		if len(got) != 5 || got[0] != -1 || got[1] != -1 || got[2] != 7 || got[3] != -1 || got[4] != 7 {
			t.Fatalf("producers of the batches are %v", got)
		}
		data, marker := log.Batches()[2], log.Batches()[4]
		if !data.IsTransactional() || data.IsControl() || data.ProducerEpoch() != 4 || !marker.IsControl() || marker.ProducerEpoch() != 5 {
			t.Fatal("the batches are not a transaction's")
		}
	})
}

func TestFencedTransactionHarmsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(DefaultConfig())
		defer b.crash()
		log := b.logs.Log(0)
		log.Hold()
		log.Refuse(func(b record.Batch) error {
			if b.IsTransactional() {
				return wire.InvalidProducerEpoch
			}
			return nil
		})
		b.commitPlain("g", 2, 1)
		synctest.Wait()
		b.commitPlain("h", 1, 2)
		b.commitTxn(7, 0, "g", -1, "", 0, 10)
		b.commitTxn(7, 0, "k", -1, "", 0, 10)
		b.endTxn(7, 0, true)
		b.commitPlain("g", 1, 3)
		b.expect(t, "txn INVALID_PRODUCER_EPOCH\ntxn INVALID_PRODUCER_EPOCH\nend INVALID_PRODUCER_EPOCH\n")
		log.Release()
		b.expect(t, "plain NONE\nplain NONE\nplain NONE\n")
		b.look("g", 0, true)
		b.look("g", 1, true)
		b.look("h", 1, true)
		b.expect(t, "at -1\nat 3\nat 2\n")
		b.commitTxn(7, 0, "k", 4, "m", 0, 10) // which is not there
		b.expect(t, "txn ILLEGAL_GENERATION\n")
	})
}

func TestDeletionTakesPendingOffsetsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(DefaultConfig())
		defer b.crash()
		b.commitTxn(7, 0, "g", -1, "", 0, 10)
		b.c.DeleteGroups([]string{"g"}, func(c []wire.Code) { b.say("delete %v", c[0].Name()) })
		b.endTxn(7, 1, true)
		b.look("g", 0, true)
		b.expect(t, "txn NONE\ndelete NONE\nend NONE\nat -1\n")
		b.commitTxn(7, 1, "g", -1, "", 0, 10)
		b.c.DeleteOffsets("g", []FetchTopic{{Name: "t", Partitions: []int32{0}}}, func(c wire.Code, cs []wire.Code) { b.say("delete %v %v", c.Name(), cs[0].Name()) })
		b.endTxn(7, 2, true)
		b.look("g", 0, true)
		b.expect(t, "txn NONE\ndelete NONE NONE\nend NONE\nat -1\n")
	})
}
