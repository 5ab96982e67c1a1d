package log

import (
	"encoding/binary"
	"fmt"

	"github.com/weir-stream/weir/internal/vfs"
)

const (
	abortedEntrySize    = 34
	abortedEntryVersion = 0
)

// abortedTxn is an entry of a .txnindex file: int16 version, int64 producer id, int64 first offset, int64 last offset
// (the abort marker), int64 last stable offset when the marker was written. Entries rise by last offset.
type abortedTxn struct {
	producerID       int64
	firstOffset      int64
	lastOffset       int64
	lastStableOffset int64
}

func (t abortedTxn) appendTo(p []byte) []byte {
	p = binary.BigEndian.AppendUint16(p, abortedEntryVersion)
	p = binary.BigEndian.AppendUint64(p, uint64(t.producerID))
	p = binary.BigEndian.AppendUint64(p, uint64(t.firstOffset))
	p = binary.BigEndian.AppendUint64(p, uint64(t.lastOffset))
	return binary.BigEndian.AppendUint64(p, uint64(t.lastStableOffset))
}

// decodeTxnIndex reads whole entries. An error says that the file is damaged from some entry on; those before it are
// returned all the same.
func decodeTxnIndex(p []byte) ([]abortedTxn, error) {
	out := make([]abortedTxn, 0, len(p)/abortedEntrySize)
	for len(p) >= abortedEntrySize {
		if v := binary.BigEndian.Uint16(p); v != abortedEntryVersion {
			return out, fmt.Errorf("entry %d has version %d", len(out), v)
		}
		t := abortedTxn{
			producerID:       int64(binary.BigEndian.Uint64(p[2:])),
			firstOffset:      int64(binary.BigEndian.Uint64(p[10:])),
			lastOffset:       int64(binary.BigEndian.Uint64(p[18:])),
			lastStableOffset: int64(binary.BigEndian.Uint64(p[26:])),
		}
		if t.firstOffset < 0 || t.lastOffset < t.firstOffset || t.producerID < 0 ||
			len(out) > 0 && t.lastOffset <= out[len(out)-1].lastOffset {
			return out, fmt.Errorf("entry %d is out of order", len(out))
		}
		out = append(out, t)
		p = p[abortedEntrySize:]
	}
	if len(p) > 0 {
		return out, fmt.Errorf("%d bytes too many", len(p))
	}
	return out, nil
}

// readTxnIndex loads a .txnindex file; a missing one is empty.
func readTxnIndex(fsys vfs.FS, name string) ([]abortedTxn, error) {
	p, err := vfs.ReadFile(fsys, name, maxIndexFileBytes)
	if vfs.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out, err := decodeTxnIndex(p)
	if err != nil {
		return out, fmt.Errorf("%s: %w", name, err)
	}
	return out, nil
}

func encodeTxnIndex(txns []abortedTxn) []byte {
	var p []byte
	for _, t := range txns {
		p = t.appendTo(p)
	}
	return p
}
