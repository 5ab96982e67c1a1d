package format

import (
	"errors"
	"fmt"
	"io"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// maxScannedBatch bounds a batch that is read for looking into it.
const maxScannedBatch = 128 << 20

// scanBatches gives each whole batch of a segment file to f, in order, and stops at the first that does not check: a
// torn end is the log's business. The batch is valid during the call.
func scanBatches(fsys vfs.FS, path string, f func(record.Batch) error) (err error) {
	file, err := fsys.Open(path, vfs.ReadOnly)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	var head [12]byte
	var buf []byte
	for pos := int64(0); ; {
		if n, err := file.ReadAt(head[:], pos); n < len(head) {
			return ignoreEOF(path, err)
		}
		size := int64(uint32(head[8])<<24|uint32(head[9])<<16|uint32(head[10])<<8|uint32(head[11])) + int64(len(head))
		if size < record.HeaderSize || size > maxScannedBatch {
			return nil
		}
		if int64(cap(buf)) < size {
			buf = make([]byte, size)
		}
		buf = buf[:size]
		if n, err := file.ReadAt(buf, pos); n < len(buf) {
			return ignoreEOF(path, err)
		}
		b := record.Batch(buf)
		if b.Magic() != record.CurrentMagic || b.VerifyCRC() != nil {
			return nil
		}
		if err := f(b); err != nil {
			return fmt.Errorf("%s at position %d: %w", path, pos, err)
		}
		pos += size
	}
}

func ignoreEOF(path string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("read %s: %w", path, err)
}

// transactionTopic is where Apache Kafka's transaction coordinators keep their state.
const transactionTopic = "__transaction_state"
