package log

import (
	"bufio"
	"bytes"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/vfs"
)

// Names of the checkpoint files in the root of a log directory, and of the one in each partition.
const (
	recoveryPointFile    = "recovery-point-offset-checkpoint"
	logStartFile         = "log-start-offset-checkpoint"
	highWatermarkFile    = "replication-offset-checkpoint"
	cleanerFile          = "cleaner-offset-checkpoint"
	leaderEpochFile      = "leader-epoch-checkpoint"
	checkpointVersion    = "0"
	maxCheckpointEntries = 10_000_000
	maxCheckpointBytes   = 1 << 30
)

// decodeLines checks the two head lines of a checkpoint and hands every further line, split on blanks, to f. A file
// of no bytes is empty: format leaves such ones.
func decodeLines(p []byte, f func(fields []string) error) error {
	if len(p) == 0 {
		return nil
	}
	sc := bufio.NewScanner(bytes.NewReader(p))
	sc.Buffer(make([]byte, 0, 1024), 64<<10)
	line := func() (string, bool) {
		ok := sc.Scan()
		return strings.TrimSpace(sc.Text()), ok
	}
	version, _ := line()
	if version != checkpointVersion {
		return fmt.Errorf("version %q is not 0", version)
	}
	text, _ := line()
	count, err := strconv.Atoi(text)
	if err != nil || count < 0 || count > maxCheckpointEntries {
		return fmt.Errorf("%q is no count of entries", text)
	}
	for i := range count {
		text, ok := line()
		if !ok {
			return fmt.Errorf("%d entries are announced and %d are there", count, i)
		}
		if err := f(strings.Fields(text)); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
	}
	if text, ok := line(); ok && text != "" {
		return fmt.Errorf("more than the %d announced entries", count)
	}
	return nil
}

// decodeOffsets parses an offset checkpoint.
func decodeOffsets(p []byte) (map[TopicPartition]int64, error) {
	out := map[TopicPartition]int64{}
	err := decodeLines(p, func(f []string) error {
		if len(f) != 3 {
			return fmt.Errorf("%d fields instead of 3", len(f))
		}
		part, err := strconv.ParseInt(f[1], 10, 32)
		if err != nil || part < 0 {
			return fmt.Errorf("%q is no partition", f[1])
		}
		off, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil || off < 0 {
			return fmt.Errorf("%q is no offset", f[2])
		}
		out[TopicPartition{f[0], int32(part)}] = off
		return nil
	})
	return out, err
}

func encodeOffsets(m map[TopicPartition]int64) []byte {
	keys := make([]TopicPartition, 0, len(m))
	for tp := range m {
		keys = append(keys, tp)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i].Less(keys[j]) })
	b := make([]byte, 0, 16+len(keys)*32)
	b = append(b, "0\n"...)
	b = strconv.AppendInt(b, int64(len(keys)), 10)
	b = append(b, '\n')
	for _, tp := range keys {
		b = append(b, tp.Topic...)
		b = append(b, ' ')
		b = strconv.AppendInt(b, int64(tp.Partition), 10)
		b = append(b, ' ')
		b = strconv.AppendInt(b, m[tp], 10)
		b = append(b, '\n')
	}
	return b
}

// decodeEpochs parses a leader-epoch-checkpoint; epochs and offsets must rise.
func decodeEpochs(p []byte) ([]EpochEntry, error) {
	var out []EpochEntry
	err := decodeLines(p, func(f []string) error {
		if len(f) != 2 {
			return fmt.Errorf("%d fields instead of 2", len(f))
		}
		epoch, err := strconv.ParseInt(f[0], 10, 32)
		if err != nil || epoch < 0 {
			return fmt.Errorf("%q is no epoch", f[0])
		}
		off, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil || off < 0 {
			return fmt.Errorf("%q is no offset", f[1])
		}
		e := EpochEntry{int32(epoch), off}
		if n := len(out); n > 0 && (e.Epoch <= out[n-1].Epoch || e.StartOffset < out[n-1].StartOffset) {
			return fmt.Errorf("epoch %d at %d is out of order", e.Epoch, e.StartOffset)
		}
		out = append(out, e)
		return nil
	})
	return out, err
}

func encodeEpochs(ents []EpochEntry) []byte {
	b := append([]byte("0\n"), strconv.Itoa(len(ents))...)
	b = append(b, '\n')
	for _, e := range ents {
		b = strconv.AppendInt(b, int64(e.Epoch), 10)
		b = append(b, ' ')
		b = strconv.AppendInt(b, e.StartOffset, 10)
		b = append(b, '\n')
	}
	return b
}

// readOffsets loads an offset checkpoint; a missing file is empty.
func readOffsets(fsys vfs.FS, name string) (map[TopicPartition]int64, error) {
	p, err := vfs.ReadFile(fsys, name, maxCheckpointBytes)
	if vfs.IsNotExist(err) {
		return map[TopicPartition]int64{}, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := decodeOffsets(p)
	if err != nil {
		return map[TopicPartition]int64{}, &damagedError{name, err}
	}
	return m, nil
}

// damagedError says that a file does not have its format; its contents can be done without.
type damagedError struct {
	name string
	err  error
}

func (e *damagedError) Error() string { return "damaged file " + e.name + ": " + e.err.Error() }
func (e *damagedError) Unwrap() error { return e.err }
