package group

import (
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/coordinator/memlog"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/wire"
)

// sink takes batches and forgets them.
type sink struct{ *memlog.Log }

func (sink) Append(_ int32, _ []byte, _ log.AppendOptions, done func(int64, error)) error {
	done(0, nil)
	return nil
}

type sinks struct{}

func (sinks) Partition(string, int32) (coordinator.Partition, int32, error) {
	return sink{&memlog.Log{}}, 0, nil
}

func benchCoordinator(b *testing.B) *Coordinator {
	quiet := slog.New(slog.DiscardHandler)
	g := lifecycle.New("bench", quiet)
	c := New(DefaultConfig(), Deps{Partitions: sinks{}, PartitionCount: func() int32 { return 1 }, Group: g, Logger: quiet})
	c.Elected(0, 1)
	b.Cleanup(func() {
		c.Close()
		g.Stop()
	})
	for deadline := time.Now().Add(5 * time.Second); ; {
		code := make(chan wire.Code, 1)
		c.FetchOffsets("g", Anybody, nil, false, func(c wire.Code, _ []FetchedTopic) { code <- c })
		if <-code == wire.None {
			return c
		}
		if time.Now().After(deadline) {
			b.Fatal("not loaded")
		}
	}
}

// BenchmarkCommit commits ten partitions at a time.
func BenchmarkCommit(b *testing.B) {
	c := benchCoordinator(b)
	r := &Commit{Group: "g", Generation: -1, RetentionMs: -1, APIVersion: 9, Topics: []CommitTopic{{Name: "topic"}}}
	for p := range int32(10) {
		r.Topics[0].Partitions = append(r.Topics[0].Partitions, CommitPartition{Index: p, Offset: 1})
	}
	done := make(chan struct{}, 1)
	b.ReportAllocs()
	for b.Loop() {
		c.CommitOffsets(r, func([]wire.Code) { done <- struct{}{} })
		<-done
	}
}

// BenchmarkHeartbeat is what an idle group of consumers costs.
func BenchmarkHeartbeat(b *testing.B) {
	c := benchCoordinator(b)
	r := kmsg.NewPtrHeartbeatRequest()
	r.Group, r.MemberID = "g", "m"
	done := make(chan struct{}, 1)
	b.ReportAllocs()
	for b.Loop() {
		c.Heartbeat(r, func(*kmsg.HeartbeatResponse) { done <- struct{}{} })
		<-done
	}
}
