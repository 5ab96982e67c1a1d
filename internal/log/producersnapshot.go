package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sort"

	"github.com/weir-stream/weir/internal/vfs"
)

const (
	snapshotVersion    = 1
	snapshotHeadSize   = 10
	snapshotEntrySize  = 46
	maxSnapshotBytes   = 1 << 30
	snapshotCRCStarts  = 6
	maxProducersPerLog = maxSnapshotBytes / snapshotEntrySize
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeSnapshot writes a .snapshot file: int16 version, uint32 CRC-32C of what follows, int32 count, and for each
// producer int64 id, int16 epoch, int32 last sequence, int64 last offset, int32 offset delta, int64
// timestamp, int32 coordinator epoch, int64 first offset of the open transaction. Only the last batch is kept.
func (s *producerState) encodeSnapshot() []byte {
	p := make([]byte, snapshotHeadSize, snapshotHeadSize+len(s.entries)*snapshotEntrySize)
	binary.BigEndian.PutUint16(p, snapshotVersion)
	binary.BigEndian.PutUint32(p[6:], uint32(len(s.entries)))
	for i := range s.entries {
		e := &s.entries[i]
		delta := int32(0)
		if e.count > 0 {
			delta = e.batches[e.count-1].offsetDelta
		}
		p = binary.BigEndian.AppendUint64(p, uint64(e.id))
		p = binary.BigEndian.AppendUint16(p, uint16(e.epoch))
		p = binary.BigEndian.AppendUint32(p, uint32(e.lastSeq()))
		p = binary.BigEndian.AppendUint64(p, uint64(e.lastOffset()))
		p = binary.BigEndian.AppendUint32(p, uint32(delta))
		p = binary.BigEndian.AppendUint64(p, uint64(e.lastTimestamp))
		p = binary.BigEndian.AppendUint32(p, uint32(e.coordinatorEpoch))
		p = binary.BigEndian.AppendUint64(p, uint64(e.txnFirst))
	}
	binary.BigEndian.PutUint32(p[2:], crc32.Checksum(p[snapshotCRCStarts:], castagnoli))
	return p
}

// decodeSnapshot reads a .snapshot file.
func decodeSnapshot(p []byte) (*producerState, error) {
	if len(p) < snapshotHeadSize {
		return nil, fmt.Errorf("snapshot of %d bytes", len(p))
	}
	if v := binary.BigEndian.Uint16(p); v != snapshotVersion {
		return nil, fmt.Errorf("snapshot version %d is not known", v)
	}
	if crc32.Checksum(p[snapshotCRCStarts:], castagnoli) != binary.BigEndian.Uint32(p[2:]) {
		return nil, errors.New("snapshot has a wrong checksum")
	}
	count := int(int32(binary.BigEndian.Uint32(p[6:])))
	p = p[snapshotHeadSize:]
	if count < 0 || count > maxProducersPerLog || len(p) != count*snapshotEntrySize {
		return nil, fmt.Errorf("snapshot announces %d producers in %d bytes", count, len(p))
	}
	s := &producerState{entries: make([]producerEntry, 0, count), index: make(map[int64]int32, count)}
	for ; len(p) > 0; p = p[snapshotEntrySize:] {
		e := producerEntry{
			id:               int64(binary.BigEndian.Uint64(p)),
			epoch:            int16(binary.BigEndian.Uint16(p[8:])),
			lastTimestamp:    int64(binary.BigEndian.Uint64(p[26:])),
			coordinatorEpoch: int32(binary.BigEndian.Uint32(p[34:])),
			txnFirst:         int64(binary.BigEndian.Uint64(p[38:])),
		}
		if e.txnFirst < 0 {
			e.txnFirst = -1
		}
		last := producerBatch{
			lastSeq:     int32(binary.BigEndian.Uint32(p[10:])),
			lastOffset:  int64(binary.BigEndian.Uint64(p[14:])),
			offsetDelta: int32(binary.BigEndian.Uint32(p[22:])),
			timestamp:   e.lastTimestamp,
		}
		if _, twice := s.index[e.id]; twice {
			return nil, fmt.Errorf("snapshot has producer %d twice", e.id)
		}
		// A producer of whom only a marker is left has no batch.
		if last.lastOffset >= 0 {
			e.add(last)
		}
		s.index[e.id] = int32(len(s.entries))
		s.entries = append(s.entries, e)
	}
	return s, nil
}

// openTxns returns the open transactions by first offset.
func (s *producerState) openTxns() []txnSpan {
	var out []txnSpan
	for i := range s.entries {
		if e := &s.entries[i]; e.txnFirst >= 0 {
			out = append(out, txnSpan{e.id, e.txnFirst, -1})
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].first < out[j].first })
	return out
}

// readSnapshot loads a snapshot file that is valid up to its name's offset.
func readSnapshot(fsys vfs.FS, name string, offset int64) (*producerState, error) {
	p, err := vfs.ReadFile(fsys, name, maxSnapshotBytes)
	if err != nil {
		return nil, err
	}
	s, err := decodeSnapshot(p)
	if err != nil {
		return nil, &damagedError{name, err}
	}
	s.mapEnd = offset
	return s, nil
}
