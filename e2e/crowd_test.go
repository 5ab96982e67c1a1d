//go:build e2e && linux

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// actor is somebody who works on a topic of his own beside the load, until the scene is over.
type actor interface {
	// act works until done is closed.
	act(done <-chan struct{})
	// judge looks, after act has returned, whether all is as he was told, and says what he did.
	judge() string
}

// racks counts what is read from brokers in the reader's rack and from others.
type racks struct {
	rack      string
	mu        sync.Mutex
	near, far int
}

// OnFetchBatchRead is kgo's hook.
func (r *racks) OnFetchBatchRead(meta kgo.BrokerMetadata, _ string, _ int32, _ kgo.FetchBatchMetrics) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rack(int(meta.NodeID)) == r.rack {
		r.near++
	} else {
		r.far++
	}
}

// TestFaultsInAWideCluster has five brokers and three controllers, a topic of 24 partitions with batches of every codec, and a group
// of static members that read in their racks. Beside these, producers do with acks=1, topics are compacted, shortened by
// retention and by DeleteRecords, made and deleted, all of it while replicas are moved and everything fails.
func TestFaultsInAWideCluster(t *testing.T) {
	if os.Getenv("WEIR_CLUSTER_MINUTES") == "" {
		t.Skip("WEIR_CLUSTER_MINUTES is not set: it takes minutes")
	}
	if !inOwnNetwork(t) {
		return
	}
	st := staging{brokers: 5, controllers: 3, partitions: 24, pace: 250 * time.Millisecond, filler: bytes.Repeat([]byte("key "), 50), props: map[string]string{
		"replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector", "offsets.topic.num.partitions": "6",
		"log.retention.check.interval.ms": "2000", "log.cleaner.backoff.ms": "1000",
	}}
	for _, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		st.producers = append(st.producers, []kgo.Opt{kgo.ProducerBatchCompression(codec)})
	}
	var readers []*racks
	for i := range 3 {
		r := &racks{rack: rack(i)}
		readers = append(readers, r)
		st.members = append(st.members, []kgo.Opt{kgo.InstanceID(fmt.Sprint("member", i)), kgo.Rack(r.rack), kgo.WithHooks(r)})
	}
	names := []string{"reassign"}
	if os.Getenv("WEIR_CLUSTER_MINUTES") != "" {
		names = nil
	}
	s := newScene(t, st)
	actors := []actor{newCareless(s), newKeeper(s), newShortener(s), newChurner(s)}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for _, a := range actors {
		wg.Go(func() { a.act(done) })
	}
	s.play(names)
	close(done)
	wg.Wait()
	for _, a := range actors {
		t.Logf("FIGURE %s", a.judge())
	}
	near, far := 0, 0
	for _, r := range readers {
		near, far = near+r.near, far+r.far
	}
	if near == 0 {
		t.Error("nobody has read in his rack")
	}
	t.Logf("FIGURE the group read %d batches in the readers' racks, %d elsewhere", near, far)
	s.judge()
}
