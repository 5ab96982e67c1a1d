package format

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sort"
	"strings"

	"github.com/weir-stream/weir/internal/coordrecord"
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

// The states of a transaction that is not finished.
var unfinished = map[int8]string{1: "Ongoing", 2: "PrepareCommit", 3: "PrepareAbort", 7: "PrepareEpochFence"}

// openTransactions lists the transactions that Apache Kafka has left open, as "id (state)".
func openTransactions(fsys vfs.FS, dirs []string) ([]string, error) {
	states := map[string]int8{}
	for _, dir := range dirs {
		entries, err := fsys.List(dir)
		if vfs.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", dir, err)
		}
		for _, e := range entries {
			if topic, _, ok := parsePartition(e.Name); e.IsDir && ok && topic == transactionTopic {
				if err := scanTransactions(fsys, filepath.Join(dir, e.Name), states); err != nil {
					return nil, err
				}
			}
		}
	}
	var open []string
	for id, state := range states {
		if name, yes := unfinished[state]; yes {
			open = append(open, fmt.Sprintf("%s (%s)", id, name))
		}
	}
	sort.Strings(open)
	return open, nil
}

func scanTransactions(fsys vfs.FS, dir string, states map[string]int8) error {
	entries, err := fsys.List(dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	for _, e := range entries {
		if e.IsDir || len(e.Name) != 24 || !strings.HasSuffix(e.Name, ".log") {
			continue
		}
		if err := scanBatches(fsys, filepath.Join(dir, e.Name), func(b record.Batch) error { return noteTransactions(b, states) }); err != nil {
			return err
		}
	}
	return nil
}

// noteTransactions keeps the last state of each transactional id.
func noteTransactions(b record.Batch, states map[string]int8) error {
	if b.IsControl() {
		return nil
	}
	it := b.Records(maxScannedBatch)
	for it.Next() {
		if err := noteTransaction(it.Record(), states); err != nil {
			return errors.Join(err, it.Close())
		}
	}
	return it.Close()
}

func noteTransaction(r *record.Record, states map[string]int8) error {
	key, err := coordrecord.DecodeTransactionKey(r.Key)
	if errors.Is(err, coordrecord.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	k, ok := key.(*coordrecord.TransactionLogKey)
	if !ok {
		return nil
	}
	if r.Value == nil {
		delete(states, k.TransactionalID)
		return nil
	}
	value, _, err := coordrecord.DecodeTransactionValue(key.RecordType(), r.Value)
	if err != nil {
		return err
	}
	if v, ok := value.(*coordrecord.TransactionLogValue); ok {
		states[k.TransactionalID] = v.TransactionStatus
	}
	return nil
}
