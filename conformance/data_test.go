//go:build conform

package conformance

import (
	"bufio"
	"context"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/conformance/script"
)

// dataBytes is how much text goes through each codec: together more than 1 GB.
func dataBytes(t *testing.T) int {
	t.Helper()
	mib, err := strconv.Atoi(os.Getenv("WEIR_CONFORM_DATA_MIB"))
	if err != nil {
		mib = 220
	}
	return mib << 20
}

// TestRealData sends the text of Go's own source tree, line by line, through
// every codec, and has it read by a group whose members come and go. Every
// line comes back, in order, with the same sum.
func TestRealData(t *testing.T) {
	t.Parallel()
	lines := realLines(t)
	b := subject(t, nil)
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	for i, name := range script.Codecs {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
			defer cancel()
			topic := "data-" + name
			begin := time.Now()
			sent := sendLines(t, ctx, b.Addr, topic, codecs[i], lines, dataBytes(t))
			wrote := time.Since(begin)
			r := &reading{seed: sent.seed, next: map[int32]int64{}}
			r.run(t, ctx, b.Addr, topic, sent.count)
			if r.tally != sent.tally {
				t.Errorf("sent %+v, read %+v", sent.tally, r.tally)
			}
			t.Logf("%d MiB, %d lines: written in %s, read in %s by %d members, sum %x", sent.bytes>>20, sent.count, wrote.Round(time.Millisecond),
				(time.Since(begin) - wrote).Round(time.Millisecond), r.members, sent.sum)
		})
	}
}

// realLines are the lines of the source of Go's standard library, which is
// wherever this test runs.
func realLines(t *testing.T) []string {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	size := 0
	err = filepath.WalkDir(filepath.Join(strings.TrimSpace(string(root)), "src"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || size > 64<<20 {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		for sc := bufio.NewScanner(f); sc.Scan(); {
			lines = append(lines, sc.Text())
			size += len(sc.Text())
		}
		return nil
	})
	if err != nil || size < 16<<20 {
		t.Fatalf("%d bytes of text: %v", size, err)
	}
	return lines
}

// tally is a sum over lines that does not depend on their order.
type tally struct {
	bytes, count int
	sum          uint64
}

func (s *tally) add(seed maphash.Seed, line []byte) {
	s.bytes += len(line)
	s.count++
	s.sum += maphash.Bytes(seed, line)
}

type sending struct {
	tally
	seed maphash.Seed
}

func sendLines(t *testing.T, ctx context.Context, addr, topic string, codec kgo.CompressionCodec, lines []string, limit int) sending {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(5*time.Millisecond),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.MaxBufferedRecords(100000))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := kadm.NewClient(c).CreateTopic(ctx, 6, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	out := sending{seed: maphash.MakeSeed()}
	for i := 0; out.bytes < limit; i++ {
		// A number in front makes every line another one, so that a lost and a doubled line do not cancel out.
		line := []byte(strconv.Itoa(i) + " " + lines[i%len(lines)])
		out.add(out.seed, line)
		c.Produce(ctx, &kgo.Record{Value: line}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := c.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	return out
}

// reading is what all members of a group have read together.
type reading struct {
	mu      sync.Mutex
	seed    maphash.Seed
	next    map[int32]int64
	members int
	tally
}

// run keeps three members at work; each reads a share and leaves, and another
// takes its place, until everything was read.
func (r *reading) run(t *testing.T, ctx context.Context, addr, topic string, total int) {
	t.Helper()
	share := total / 9
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			for ctx.Err() == nil && r.read() < total && !t.Failed() {
				r.member(t, ctx, addr, topic, share, total)
			}
		})
	}
	group.Wait()
	if err := ctx.Err(); err != nil {
		t.Errorf("%d of %d lines were read: %v", r.read(), total, err)
	}
}

func (r *reading) read() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

func (r *reading) member(t *testing.T, ctx context.Context, addr, topic string, share, total int) {
	c, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumerGroup(topic+"-group"), kgo.ConsumeTopics(topic), kgo.BlockRebalanceOnPoll(),
		kgo.AutoCommitMarks(), kgo.FetchMaxWait(200*time.Millisecond), kgo.SessionTimeout(10*time.Second))
	if err != nil {
		t.Error(err)
		return
	}
	defer c.CloseAllowingRebalance() // commits what is marked and leaves
	r.mu.Lock()
	r.members++
	r.mu.Unlock()
	for mine := 0; mine < share && r.read() < total; {
		// Nobody waits for lines that another member reads.
		poll, cancel := context.WithTimeout(ctx, time.Second)
		f := c.PollRecords(poll, 5000)
		cancel()
		if ctx.Err() != nil {
			return
		}
		f.EachError(func(topic string, p int32, err error) {
			if poll.Err() == nil {
				t.Errorf("%s-%d: %v", topic, p, err)
			}
		})
		mine += r.take(t, f)
		c.MarkCommitRecords(f.Records()...)
		c.AllowRebalance()
	}
}

// take counts what is new. What an earlier member had read but not yet
// committed comes again and is skipped; a gap is a loss.
func (r *reading) take(t *testing.T, f kgo.Fetches) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	f.EachRecord(func(rec *kgo.Record) {
		switch next := r.next[rec.Partition]; {
		case rec.Offset > next:
			t.Errorf("partition %d goes on at %d, want %d", rec.Partition, rec.Offset, next)
		case rec.Offset == next:
			r.add(r.seed, rec.Value)
		default:
			return
		}
		r.next[rec.Partition] = rec.Offset + 1
	})
	return f.NumRecords()
}

// TestRealDataSums shows that the sum sees a line that is missing and one that
// is there twice.
func TestRealDataSums(t *testing.T) {
	seed := maphash.MakeSeed()
	var all, without, twice tally
	for i := range 100 {
		line := fmt.Appendf(nil, "%d line", i)
		all.add(seed, line)
		if i != 50 {
			without.add(seed, line)
		} else {
			twice.add(seed, line)
		}
		twice.add(seed, line)
	}
	if all == without || all == twice {
		t.Error("the sums are equal")
	}
}
