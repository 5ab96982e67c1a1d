package log

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

// txnBatch is a batch as the model knows it.
type txnBatch struct {
	pid         int64 // -1: a plain batch
	epoch       int16
	seq         int32 // of the first record
	base, last  int64
	marker      bool
	transaction int // of data
}

// txnModel is a partition with transactions: what was appended, and the rules by the book. A leader and a follower have to
// agree with it, whatever becomes of their files.
type txnModel struct {
	t         *testing.T
	rng       *rand.Rand
	cfg       Config
	clock     *fakeClock
	fsys      [2]vfs.FS
	logs      [2]*Log // leader, follower
	batches   []txnBatch
	hw        int64
	decisions map[int]bool // by transaction: committed
	count     int
	history   []string
}

// producer returns the state of a producer by what is in the log.
func (m *txnModel) producer(pid int64) (epoch int16, seq int32, open int) {
	open = -1
	for _, b := range m.batches {
		switch {
		case b.pid != pid:
		case b.marker:
			if open = -1; b.epoch != epoch {
				epoch, seq = b.epoch, 0
			}
		default:
			epoch, seq, open = b.epoch, b.seq+int32(b.last-b.base)+1, b.transaction
		}
	}
	return epoch, seq, open
}

func (m *txnModel) end() int64 {
	if n := len(m.batches); n > 0 {
		return m.batches[n-1].last + 1
	}
	return 0
}

// stable is the last stable offset by the book. What is left of a transaction that began below the log start may be all that a
// log remembers of it after a stop: it can be as high as high then.
func (m *txnModel) stable(start int64) (low, high int64) {
	first, visible, decided := map[int]int64{}, map[int]int64{}, map[int]int64{}
	open := map[int64]int{}
	for _, b := range m.batches {
		if b.marker {
			if x, ok := open[b.pid]; ok {
				decided[x] = b.base
				delete(open, b.pid)
			}
		} else if b.pid >= 0 {
			if _, ok := open[b.pid]; !ok {
				open[b.pid], first[b.transaction] = b.transaction, b.base
			}
			if _, ok := visible[b.transaction]; !ok && b.last >= start {
				visible[b.transaction] = b.base
			}
		}
	}
	low, high = m.hw, m.hw
	for x, offset := range first {
		if at, ok := decided[x]; ok && at < m.hw {
			continue
		}
		low = min(low, offset)
		if offset, ok := visible[x]; ok {
			high = min(high, offset)
		}
	}
	return max(low, start), max(high, start)
}

// committed lists the offsets of records from start up to stable that a read_committed consumer gets.
func (m *txnModel) committed(start, stable int64) []int64 {
	out := []int64{}
	for _, b := range m.batches {
		if b.marker || b.pid >= 0 && !m.decisions[b.transaction] {
			continue
		}
		for o := b.base; o <= b.last; o++ {
			if o >= start && o < stable {
				out = append(out, o)
			}
		}
	}
	return out
}

// forgotten reports whether the log may know no more of a producer than a marker: it wants it to begin anew then, as in Kafka.
func (m *txnModel) forgotten(pid int64) bool {
	start := m.logs[0].LogStartOffset()
	return start > 0 && !slices.ContainsFunc(m.batches, func(b txnBatch) bool { return b.pid == pid && !b.marker && b.last >= start })
}

func (m *txnModel) append(b *record.Builder, as txnBatch, opt AppendOptions) {
	m.t.Helper()
	p, err := b.Build()
	must.NoError(m.t, err)
	info, err := m.logs[0].AppendAsLeader(p, 0, opt)
	if errors.Is(err, wire.OutOfOrderSequenceNumber) && m.forgotten(as.pid) {
		m.note("refused")
		return
	}
	must.NoError(m.t, err, as, m.history)
	must.Equal(m.t, m.end(), info.BaseOffset)
	as.base, as.last = info.BaseOffset, info.LastOffset
	m.batches = append(m.batches, as)
}

func (m *txnModel) write(pid int64) {
	var b record.Builder
	b.Reset(record.Compression{}, 0)
	as := txnBatch{pid: pid}
	if pid >= 0 {
		as.epoch, as.seq, as.transaction = m.producer(pid)
		if as.transaction < 0 {
			m.count++
			as.transaction = m.count
		}
		b.SetProducer(pid, as.epoch, as.seq)
		b.SetTransactional()
	}
	for range 1 + m.rng.IntN(3) {
		b.Append(m.logs[0].env.nowMs(), []byte("k"), make([]byte, m.rng.IntN(40)))
	}
	m.append(&b, as, AppendOptions{})
}

// finish writes a marker, whether or not there is something to end.
func (m *txnModel) finish(pid int64) {
	epoch, _, open := m.producer(pid)
	opt := AppendOptions{Origin: OriginCoordinator}
	if m.rng.IntN(2) == 0 {
		epoch++
		opt.TxnVersion = 2
	}
	commit := m.rng.IntN(2) == 0
	if open >= 0 {
		m.decisions[open] = commit
	}
	var b record.Builder
	b.Reset(record.Compression{}, 0)
	b.AppendEndTxn(m.logs[0].env.nowMs(), pid, epoch, record.EndTxnMarker{Commit: commit, CoordinatorEpoch: 1})
	m.append(&b, txnBatch{pid: pid, epoch: epoch, marker: true}, opt)
}

// follow copies what the follower lacks.
func (m *txnModel) follow() {
	leader, follower := m.logs[0], m.logs[1]
	for follower.LogEndOffset() < leader.LogEndOffset() {
		info, err := leader.Read(follower.LogEndOffset(), 200, true, BoundLogEnd)
		must.NoError(m.t, err)
		p := make([]byte, info.Range.Len)
		_, err = info.Range.ReadAt(p, 0)
		must.NoError(m.t, err)
		info.Range.Release()
		_, err = follower.AppendAsFollower(p, 0)
		must.NoError(m.t, err)
	}
}

// reopen opens one of the logs again, with or without a clean end before.
func (m *txnModel) reopen(i int, clean bool) {
	start := int64(0)
	if m.logs[i] != nil {
		start = m.logs[i].LogStartOffset()
	}
	if clean {
		must.NoError(m.t, m.logs[i].Close())
	}
	l, err := OpenSingle(m.fsys[i], "/d/t-0", testTP, m.cfg, SingleOptions{Logger: quiet, Now: m.clock.Now, TopicID: TopicID{1}})
	must.NoError(m.t, err)
	m.logs[i] = l
	if i == 0 {
		_, err = l.BecomeLeader(0)
		must.NoError(m.t, err)
	} else {
		l.BecomeFollower(0)
	}
	if m.logs[1] != nil {
		m.setHW(m.end()) // of transactions that were complete but not replicated a snapshot knows nothing, as in Kafka
		if clean {       // else the start may be found as it was before, as when its checkpoint is older
			must.NoError(m.t, l.AdvanceLogStart(start))
		}
	}
}

func (m *txnModel) setHW(to int64) {
	m.follow()
	m.hw = max(m.hw, to)
	for _, l := range m.logs {
		l.SetHighWatermark(m.hw)
	}
}

// cut is what an unclean election does: what is above an offset is gone on both.
func (m *txnModel) cut(at int64) {
	m.follow()
	for _, l := range m.logs {
		must.NoError(m.t, l.TruncateTo(at))
	}
	keep := 0
	for keep < len(m.batches) && m.batches[keep].last < at {
		keep++
	}
	for _, b := range m.batches[keep:] {
		if b.marker {
			continue
		}
		delete(m.decisions, b.transaction)
	}
	m.batches = m.batches[:keep]
	m.hw = min(m.hw, m.end())
	open := map[int64]int{}
	for _, b := range m.batches {
		if b.marker {
			delete(open, b.pid)
		} else if b.pid >= 0 {
			open[b.pid] = b.transaction
		}
	}
	for _, x := range open {
		delete(m.decisions, x)
	}
	m.setHW(m.end()) // as after reopen
}

func (m *txnModel) step() {
	pid := int64(m.rng.IntN(4))
	switch n := m.rng.IntN(100); {
	case n < 45:
		m.note("data of %d", pid)
		m.write(pid)
	case n < 52:
		m.note("plain")
		m.write(-1)
	case n < 75:
		m.note("end of %d", pid)
		m.finish(pid)
	case n < 87:
		to := m.hw + m.rng.Int64N(m.end()-m.hw+1)
		for _, b := range m.batches { // replicas have whole batches
			if b.base < to && to <= b.last {
				to = b.base
			}
		}
		m.note("high watermark %d", to)
		m.setHW(to)
	case n < 92:
		i, clean := m.rng.IntN(2), m.rng.IntN(2) == 0
		m.note("log %d is opened again, clean %v", i, clean)
		m.reopen(i, clean)
	case n < 96:
		at := m.hw + m.rng.Int64N(m.end()-m.hw+1)
		m.note("cut at %d", at)
		m.cut(at)
	case n < 98:
		start := m.logs[0].LogStartOffset()
		to := start + m.rng.Int64N(m.hw-start+1)
		m.note("records are deleted up to %d", to)
		_, err := m.logs[0].DeleteRecordsTo(to)
		must.NoError(m.t, err)
		must.NoError(m.t, m.logs[1].AdvanceLogStart(to))
	default:
		m.note("retention")
		for _, l := range m.logs {
			_, _, err := l.retain(l.env.nowMs())
			must.NoError(m.t, err)
		}
	}
}

func (m *txnModel) note(format string, args ...any) {
	m.history = append(m.history, fmt.Sprintf(format, args...))
}

func (m *txnModel) check() {
	m.t.Helper()
	for i, l := range m.logs {
		if i == 1 {
			m.follow()
		}
		start := l.LogStartOffset()
		stable := l.LastStableOffset()
		if low, high := m.stable(start); stable < low || stable > high {
			m.t.Fatalf("log %d: the last stable offset is %d, want %d to %d; start %d, high watermark %d\n%v\n%+v", i, stable, low, high, start, m.hw, m.history, m.batches)
		}
		if got, want := consumed(m.t, l, 1+m.rng.IntN(400), m.history), m.committed(start, stable); !slices.Equal(got, want) {
			m.t.Fatalf("log %d: a reader of committed records got %v, want %v; start %d\n%v\n%+v", i, got, want, start, m.history, m.batches)
		}
	}
}

// consumed lists the offsets that a read_committed consumer would hand out: it drops aborted batches as clients do.
func consumed(t *testing.T, l *Log, maxBytes int, history []string) []int64 {
	t.Helper()
	out := []int64{}
	off, stable := l.LogStartOffset(), l.LastStableOffset()
	for {
		info, err := l.Read(off, maxBytes, true, BoundLastStable)
		must.NoError(t, err, history)
		if info.Range == nil {
			must.Equal(t, stable, off, "the reader's end")
			return out
		}
		p := make([]byte, info.Range.Len)
		_, err = info.Range.ReadAt(p, 0)
		must.NoError(t, err)
		info.Range.Release()
		queue, dropped := info.Aborted, map[int64]bool{}
		slices.SortStableFunc(queue, func(a, b wire.AbortedTransaction) int { return int(a.FirstOffset - b.FirstOffset) })
		for b, err := range record.Split(p) {
			must.NoError(t, err)
			for len(queue) > 0 && queue[0].FirstOffset <= b.LastOffset() {
				dropped[queue[0].ProducerID] = true
				queue = queue[1:]
			}
			switch {
			case b.IsControl():
				delete(dropped, b.ProducerID())
			case !b.IsTransactional() || !dropped[b.ProducerID()]:
				for o := max(off, b.BaseOffset()); o < b.NextOffset(); o++ {
					out = append(out, o)
				}
			}
			off = max(off, b.NextOffset())
		}
	}
}

// TestTransactionsByTheBook plays random histories on a leader and a follower: appends, markers that come twice, replication,
// stops, elections that lose records, deletion.
func TestTransactionsByTheBook(t *testing.T) {
	seeds, steps := 150, 120
	if testing.Short() {
		seeds = 25
	}
	for seed := range seeds {
		m := &txnModel{t: t, rng: rand.New(rand.NewPCG(uint64(seed), 7)), cfg: DefaultConfig(), clock: newClock(), decisions: map[int]bool{}}
		m.cfg.SegmentBytes = 600
		m.cfg.RetentionBytes, m.cfg.RetentionMs = 2000, math.MaxInt32
		m.note("seed %d", seed)
		for i := range m.logs {
			m.fsys[i] = vfs.NewMem()
			m.reopen(i, false)
		}
		for range steps {
			m.step()
			m.check()
		}
	}
}

// A log that lost sight of a transaction, since its records lay below the log start, can find them again: the start is
// written down later than it moves. The index has to take the transaction then, in its place.
func TestAbortedTransactionThatComesBackIsIndexed(t *testing.T) {
	fsys, clock := vfs.NewMem(), newClock()
	l := openTest(t, fsys, DefaultConfig(), clock)
	x := &txnLog{t: t, l: l, seq: map[int64]int32{}}
	x.data(1, 1)                       // 0
	appendValues(t, l, "1", "2", "3")  // 1 to 3
	appendValues(t, l, "lost", "lost") // 4, 5
	l.SetHighWatermark(4)
	_, err := l.DeleteRecordsTo(2)
	must.NoError(t, err)
	must.NoError(t, l.TruncateTo(4))
	x.end(1, false) // 4
	x.data(2, 1)    // 5
	x.end(2, false) // 6
	l = openTest(t, fsys, DefaultConfig(), clock)
	l.SetHighWatermark(7)
	must.Equal(t, []int64{1, 2, 3}, consumed(t, l, 1000, nil))
	info, err := l.Read(0, 1000, true, BoundLastStable)
	must.NoError(t, err)
	info.Range.Release()
	must.Equal(t, []wire.AbortedTransaction{{ProducerID: 1, FirstOffset: 0}, {ProducerID: 2, FirstOffset: 5}}, info.Aborted)
}

// The index of a segment whose files are synced is not made anew by a start: what it lacks is put in its place.
func TestTransactionIndexTakesWhatItLacks(t *testing.T) {
	l := openTest(t, vfs.NewMem(), DefaultConfig(), newClock())
	x := &txnLog{t: t, l: l, seq: map[int64]int32{}}
	x.data(1, 2)    // 0, 1
	x.end(1, false) // 2
	x.data(2, 2)    // 3, 4
	x.end(2, false) // 5
	first, last := abortedTxn{1, 0, 2, 3}, abortedTxn{2, 3, 5, 6}
	seg := l.active()
	check := func(want ...abortedTxn) {
		t.Helper()
		got, err := seg.aborted()
		must.NoError(t, err)
		must.Equal(t, want, got)
	}
	check(first, last)
	between := abortedTxn{7, 3, 4, 3}
	must.NoError(t, seg.restoreTxn(between))
	check(first, between, last)
	longer := abortedTxn{7, 1, 4, 3}
	must.NoError(t, seg.restoreTxn(longer))
	check(first, longer, last)
	must.NoError(t, seg.restoreTxn(between)) // what is known of it is more
	must.NoError(t, seg.restoreTxn(last))
	check(first, longer, last)
	behind := abortedTxn{8, 6, 7, 8}
	must.NoError(t, seg.restoreTxn(behind))
	check(first, longer, last, behind)
	must.NoError(t, seg.writeTxns())
	check(first, longer, last, behind)
}
