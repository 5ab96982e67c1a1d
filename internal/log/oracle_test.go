package log

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// kafkaDumpLog runs Apache Kafka's kafka-dump-log on files. The test is skipped unless WEIR_KAFKA_DIST names a distribution.
func kafkaDumpLog(t *testing.T, args ...string) string {
	t.Helper()
	dist := os.Getenv("WEIR_KAFKA_DIST")
	if dist == "" {
		t.Skip("WEIR_KAFKA_DIST is not set")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(dist, "bin", "kafka-dump-log.sh"), args...)
	out, err := cmd.CombinedOutput()
	must.NoError(t, err, string(out))
	return string(out)
}

// TestApacheKafkaReadsOurFiles has Apache Kafka's own tool check a directory with every kind of file.
func TestApacheKafkaReadsOurFiles(t *testing.T) {
	if os.Getenv("WEIR_KAFKA_DIST") == "" {
		t.Skip("WEIR_KAFKA_DIST is not set")
	}
	dir := filepath.Join(t.TempDir(), "data")
	x := newManaged(t, vfs.OS(), dir)
	x.cfg.SegmentBytes, x.cfg.IndexIntervalBytes = 2000, 200
	l := x.log("p", 0)
	tx := &txnLog{t: t, l: l, seq: map[int64]int32{}}
	n := 0
	for i := range 60 {
		x.clock.now = x.clock.now.Add(time.Duration(i%7-2) * time.Millisecond)
		switch i % 5 {
		case 0:
			tx.data(3, 2)
			n += 2
		case 1:
			tx.end(3, i%2 == 0)
			n++
		case 2:
			var b record.Builder
			b.Reset(record.NewCompression(record.Codec(i/5%5)), 0)
			for range 5 {
				b.Append(l.env.nowMs(), []byte("key"), bytes.Repeat([]byte("v"), 20))
			}
			p, err := b.Build()
			must.NoError(t, err)
			_, err = l.AppendAsLeader(p, 0, AppendOptions{})
			must.NoError(t, err)
			n += 5
		default:
			_, err := l.AppendAsLeader(idempotentBatch(t, l.env.nowMs(), 9, 0, tx.seq[9], 1), 0, AppendOptions{})
			must.NoError(t, err)
			tx.seq[9]++
			n++
		}
	}
	l.SetHighWatermark(l.LogEndOffset())
	greater(t, l.NumSegments(), 2)
	must.NoError(t, x.m.Close(5))
	var logs, indexes, snaps []string
	ents, err := os.ReadDir(filepath.Join(dir, "p-0"))
	must.NoError(t, err)
	for _, e := range ents {
		name := filepath.Join(dir, "p-0", e.Name())
		switch filepath.Ext(name) {
		case logSuffix:
			logs = append(logs, name)
		case indexSuffix, timeIndexSuffix:
			indexes = append(indexes, name)
		case snapshotSuffix, txnIndexSuffix:
			snaps = append(snaps, name)
		}
	}
	out := kafkaDumpLog(t, "--deep-iteration", "--print-data-log", "--files", strings.Join(logs, ","))
	must.Equal(t, n, strings.Count(out, "| offset: "), out)
	must.True(t, !strings.Contains(out, "isvalid: false") && !strings.Contains(out, "exception"), out)
	out = kafkaDumpLog(t, "--verify-index-only", "--files", strings.Join(indexes, ","))
	for _, bad := range []string{"Mismatches", "Non-consecutive", "Index file", "not found", "Found", "rror"} {
		must.True(t, !strings.Contains(out, bad), out)
	}
	out = kafkaDumpLog(t, "--files", strings.Join(snaps, ","))
	must.True(t, strings.Contains(out, "producerId: 9 producerEpoch: 0") && strings.Contains(out, "version: 0 producerId: 3"), out)
}

// TestIndexesAreThoseOfApacheKafka makes the indexes of segments that Apache Kafka wrote anew and compares the bytes.
// WEIR_KAFKA_DATA names a log directory of a cleanly stopped broker.
func TestIndexesAreThoseOfApacheKafka(t *testing.T) {
	data := os.Getenv("WEIR_KAFKA_DATA")
	if data == "" {
		t.Skip("WEIR_KAFKA_DATA is not set")
	}
	parts, err := filepath.Glob(filepath.Join(data, "*-[0-9]*"))
	must.NoError(t, err)
	compared := 0
	for _, part := range parts {
		tp, suffix, ok := parseDirName(filepath.Base(part))
		if !ok || suffix != "" || tp.String() == metadataDirName {
			continue
		}
		dir := filepath.Join(t.TempDir(), tp.String())
		must.NoError(t, os.CopyFS(dir, os.DirFS(part)))
		for _, kind := range []string{indexSuffix, timeIndexSuffix, txnIndexSuffix, snapshotSuffix} {
			names, err := filepath.Glob(filepath.Join(dir, "*"+kind))
			must.NoError(t, err)
			for _, n := range names {
				must.NoError(t, os.Remove(n))
			}
		}
		l, err := OpenSingle(vfs.OS(), dir, tp, DefaultConfig(), SingleOptions{Logger: quiet})
		must.NoError(t, err)
		must.NoError(t, l.Close())
		for _, kind := range []string{logSuffix, indexSuffix, timeIndexSuffix, txnIndexSuffix, "leader-epoch-checkpoint"} {
			names, err := filepath.Glob(filepath.Join(part, "*"+kind))
			must.NoError(t, err)
			for _, n := range names {
				want, err := os.ReadFile(n)
				must.NoError(t, err)
				if kind == "leader-epoch-checkpoint" && l.LogEndOffset() == 0 {
					continue // the epoch of an empty log does not outlive a recovery, there and here
				}
				got, err := os.ReadFile(filepath.Join(dir, filepath.Base(n)))
				must.NoError(t, err)
				must.True(t, bytes.Equal(want, got), fmt.Sprintf("%s: %d bytes of Apache Kafka, %d of ours", n, len(want), len(got)))
				compared++
			}
		}
	}
	t.Log("files compared:", compared)
	greater(t, compared, 0)
}
