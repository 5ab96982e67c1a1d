package log

import (
	"bytes"
	"testing"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

func FuzzOffsetIndex(f *testing.F) {
	f.Add([]byte{0, 0, 0, 57, 0, 0, 16, 29, 0, 0, 0, 114, 0, 0, 32, 37, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		ents, _ := decodeOffsetIndex(p)
		for i, e := range ents {
			if e.position() <= 0 || i > 0 && (e.relative() <= ents[i-1].relative() || e.position() <= ents[i-1].position()) {
				t.Fatal("entries do not rise")
			}
		}
		v := newOffsetView(ents)
		for _, e := range ents {
			if v.floor(e.relative()) != e.position() || v.floorPosition(e.position()) != e.position() {
				t.Fatal("entry is not found")
			}
		}
	})
}

func FuzzTimeIndex(f *testing.F) {
	f.Add([]byte{0, 0, 1, 139, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		ents, _ := decodeTimeIndex(p)
		if !bytes.HasPrefix(p, encodeTimeIndex(ents)) {
			t.Fatal("entries are not those of the file")
		}
		for i, e := range ents {
			if i > 0 && e.timestamp <= ents[i-1].timestamp {
				t.Fatal("timestamps do not rise")
			}
			if got, ok := floorTime(ents, e.timestamp); !ok || got != e {
				t.Fatal("entry is not found")
			}
		}
	})
}

func FuzzTxnIndex(f *testing.F) {
	f.Add(abortedTxn{8, 4, 6, 7}.appendTo(nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		txns, err := decodeTxnIndex(p)
		if !bytes.HasPrefix(p, encodeTxnIndex(txns)) || err == nil && len(p) != len(txns)*abortedEntrySize {
			t.Fatal("entries are not those of the file")
		}
	})
}

func FuzzProducerSnapshot(f *testing.F) {
	s := &producerState{}
	e := s.touch(0)
	e.epoch, e.lastTimestamp = 0, 1795390836978
	e.add(producerBatch{2, 2, 2, 1795390836978})
	f.Add(s.encodeSnapshot())
	f.Add((&producerState{}).encodeSnapshot())
	f.Fuzz(func(t *testing.T, p []byte) {
		s, err := decodeSnapshot(p)
		if err != nil {
			return
		}
		again, err := decodeSnapshot(s.encodeSnapshot())
		if err != nil || len(again.entries) != len(s.entries) {
			t.Fatal("snapshot changes", err)
		}
		for i := range s.entries {
			if s.entries[i] != again.entries[i] {
				t.Fatal("entry changes", s.entries[i], again.entries[i])
			}
		}
	})
}

func FuzzOffsetCheckpoint(f *testing.F) {
	f.Add([]byte("0\n2\nt 0 17\nother-topic 3 99\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		m, err := decodeOffsets(p)
		if err != nil {
			return
		}
		again, err := decodeOffsets(encodeOffsets(m))
		if err != nil || len(again) != len(m) {
			t.Fatal("checkpoint changes", err)
		}
	})
}

func FuzzEpochCheckpoint(f *testing.F) {
	f.Add([]byte("0\n2\n0 0\n5 100\n"))
	f.Fuzz(func(t *testing.T, p []byte) {
		ents, err := decodeEpochs(p)
		if err != nil {
			return
		}
		again, err := decodeEpochs(encodeEpochs(ents))
		if err != nil || len(again) != len(ents) {
			t.Fatal("checkpoint changes", err)
		}
	})
}

func FuzzPartitionMetadata(f *testing.F) {
	f.Add(encodePartitionMetadata(TopicID{1, 2, 3}))
	f.Fuzz(func(t *testing.T, p []byte) {
		id, err := decodePartitionMetadata(p)
		if err != nil {
			return
		}
		if again, err := decodePartitionMetadata(encodePartitionMetadata(id)); err != nil || again != id {
			t.Fatal("id changes", err)
		}
	})
}

func FuzzCleanShutdown(f *testing.F) {
	f.Add(encodeCleanShutdown(823))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, p []byte) {
		if e := decodeCleanShutdown(p); e < -1 || e >= 0 && decodeCleanShutdown(encodeCleanShutdown(e)) != e {
			t.Fatal("epoch", e)
		}
	})
}

func FuzzSidecar(f *testing.F) {
	f.Add(encodeSidecar(7, []sidecarEntry{{name: "t-0", end: 5, firstUnstable: -1, segments: []sidecarSegment{{size: 9, maxTimestamp: 1}},
		epochs: []EpochEntry{{0, 0}}, snapshots: []int64{5}}}))
	f.Fuzz(func(t *testing.T, p []byte) {
		epoch, ents, err := decodeSidecar(p)
		if err != nil {
			return
		}
		if again, ents2, err := decodeSidecar(encodeSidecar(epoch, ents)); err != nil || again != epoch || len(ents2) != len(ents) {
			t.Fatal("sidecar changes", err)
		}
	})
}

func FuzzDirName(f *testing.F) {
	f.Add("topic-3.0123456789abcdef0123456789abcdef-delete")
	f.Fuzz(func(t *testing.T, name string) {
		if tp, suffix, ok := parseDirName(name); ok && suffix == "" && tp.String() != name {
			t.Fatal("name changes")
		}
	})
}

// FuzzSegment opens a partition whose files hold arbitrary bytes: what is served afterwards has right checksums, and
// appending works.
func FuzzSegment(f *testing.F) {
	one := producedBatch(f, 5, "a", "b")
	f.Add(one, []byte{}, []byte{}, []byte{})
	f.Add(append(append([]byte{}, one...), one[:30]...), []byte{0, 0, 0, 1, 0, 0, 0, 9}, make([]byte, 12), (&producerState{}).encodeSnapshot())
	f.Fuzz(func(t *testing.T, data, index, times, snap []byte) {
		fsys, clock := vfs.NewMem(), newClock()
		if err := fsys.MkdirAll("/d/t-0"); err != nil {
			t.Fatal(err)
		}
		for name, p := range map[string][]byte{".log": data, ".index": index, ".timeindex": times, ".snapshot": snap} {
			if err := writeAt(fsys, "/d/t-0/00000000000000000000"+name, p, 0, false); err != nil {
				t.Fatal(err)
			}
		}
		l, err := OpenSingle(fsys, "/d/t-0", testTP, DefaultConfig(), SingleOptions{Logger: quiet, Now: clock.Now})
		if err != nil {
			return
		}
		for off := l.LogStartOffset(); off < l.LogEndOffset(); {
			info, err := l.Read(off, 1000, true, BoundLogEnd)
			if err != nil || info.Range == nil {
				t.Fatal("read at", off, err)
			}
			buf := make([]byte, info.Range.Len)
			if err := readFull(info.Range.File, buf, info.Range.Off); err != nil {
				t.Fatal(err)
			}
			info.Range.Release()
			for len(buf) > 0 {
				b, rest, ok := cutBatch(buf)
				if !ok || b.VerifyCRC() != nil {
					t.Fatal("corrupt bytes are served")
				}
				off, buf = b.NextOffset(), rest
			}
		}
		if _, err := l.BecomeLeader(max(l.LatestEpoch(), 0)); err != nil {
			t.Fatal(err)
		}
		if _, err := l.AppendAsLeader(producedBatch(t, 9, "x"), max(l.LatestEpoch(), 0), AppendOptions{}); err != nil {
			t.Fatal(err)
		}
	})
}

func cutBatch(p []byte) (record.Batch, []byte, bool) {
	b, rest, err := record.Next(p)
	return b, rest, err == nil
}
