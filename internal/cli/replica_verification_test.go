package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/record"
)

// newReplicas starts brokers that have the given copies of t-0.
func newReplicas(t *testing.T, copies map[int32]read) map[int32]*fakeBroker {
	t.Helper()
	all := map[int32]*fakeBroker{}
	for id := range copies {
		all[id] = newFakeBroker(t)
	}
	topic := [16]byte{7}
	metadata := func(kmsg.Request) kmsg.Response {
		resp := all[1].metadata(1)
		resp.Brokers = nil
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Leader = 1
		for id, b := range all {
			node := kmsg.NewMetadataResponseBroker()
			node.NodeID, node.Host, node.Port = id, b.host, b.port
			resp.Brokers = append(resp.Brokers, node)
			p.Replicas = append(p.Replicas, id)
		}
		top := kmsg.NewMetadataResponseTopic()
		top.Topic, top.TopicID, top.Partitions = kmsg.StringPtr("t"), topic, []kmsg.MetadataResponseTopicPartition{p}
		resp.Topics = append(resp.Topics, top)
		return resp
	}
	for id, b := range all {
		b.on(kmsg.NewPtrMetadataRequest(), metadata)
		b.on(kmsg.NewPtrListOffsetsRequest(), func(req kmsg.Request) kmsg.Response {
			resp := kmsg.NewPtrListOffsetsResponse()
			resp.Version = req.GetVersion()
			p := kmsg.NewListOffsetsResponseTopicPartition()
			if p.Offset = 0; req.(*kmsg.ListOffsetsRequest).Topics[0].Partitions[0].Timestamp == -1 {
				p.Offset = copies[1].highWatermark
			}
			top := kmsg.NewListOffsetsResponseTopic()
			top.Topic, top.Partitions = "t", []kmsg.ListOffsetsResponseTopicPartition{p}
			resp.Topics = append(resp.Topics, top)
			return resp
		})
		b.on(kmsg.NewPtrFetchRequest(), func(raw kmsg.Request) kmsg.Response {
			req := raw.(*kmsg.FetchRequest)
			resp := kmsg.NewPtrFetchResponse()
			resp.Version = req.Version
			p := kmsg.NewFetchResponseTopicPartition()
			p.HighWatermark, p.RecordBatches = copies[id].highWatermark, copies[id].from(req.Topics[0].Partitions[0].FetchOffset)
			if req.ReplicaState.ID != -2 {
				p.ErrorCode = 6 // as a follower answers who is a consumer of a time before KIP-392
			}
			top := kmsg.NewFetchResponseTopic()
			top.TopicID, top.Partitions = topic, []kmsg.FetchResponseTopicPartition{p}
			resp.Topics = append(resp.Topics, top)
			return resp
		})
	}
	return all
}

// from is the batches of a copy from an offset on.
func (r read) from(offset int64) []byte {
	rest := r.batches
	for {
		b, ok := firstBatch(rest)
		if !ok || b.LastOffset() >= offset {
			return rest
		}
		rest = rest[len(b):]
	}
}

// copyOf is batches of a record each, from offset 0 on.
func copyOf(t *testing.T, high int64, values ...string) read {
	t.Helper()
	r := read{highWatermark: high}
	for i, v := range values {
		var b record.Builder
		b.Reset(record.NewCompression(record.None), int64(i))
		b.Append(1000, nil, []byte(v))
		batch, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		r.batches = append(r.batches, batch...)
	}
	return r
}

// until is an output that ends a run when it has a word.
type until struct {
	mu   sync.Mutex
	text bytes.Buffer
	word string
	stop func()
}

func (u *until) Write(p []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.text.Write(p)
	if strings.Contains(u.text.String(), u.word) {
		u.stop()
	}
	return len(p), nil
}

func TestReplicaVerification(t *testing.T) {
	good := copyOf(t, 3, "a", "b", "c")
	for _, c := range []struct {
		name   string
		copies map[int32]read
		time   string
		word   string // that ends it
		exit   int
	}{
		{"equal", map[int32]read{1: good, 2: good, 3: good}, "-2", "max lag is 0 for partition t-0 at offset 3 among 1 partitions", 130},
		{"behind", map[int32]read{1: good, 2: good, 3: copyOf(t, 2, "a", "b")}, "-2", "max lag is 1 for partition t-0 at offset 2 among 1 partitions", 130},
		{"not committed", map[int32]read{1: good, 2: copyOf(t, 2, "a", "b", "x"), 3: good}, "-2", "max lag is 1 for partition t-0 at offset 2", 130},
		{"at the end", map[int32]read{1: good, 2: copyOf(t, 3, "x", "y", "z"), 3: good}, "-1", "max lag is 0 for partition t-0 at offset 3", 130},
		{"another record", map[int32]read{1: good, 2: good, 3: copyOf(t, 3, "a", "X", "c")}, "-2", "partition t-0 has unmatched checksum at offset 1; replica 1's checksum ", 130},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := newReplicas(t, c.copies)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			out := &until{word: c.word, stop: stop}
			args := []string{"--broker-list", all[1].addr, "--time", c.time, "--max-wait-ms", "10", "--report-interval-ms", "1"}
			var errOut bytes.Buffer
			exit := Tool{New: newReplicaVerificationTool}.Run(ctx, Env{Stdin: strings.NewReader(""), Stdout: out, Stderr: &errOut}, args)
			if text := out.text.String(); exit != c.exit || !strings.Contains(text, c.word) || !strings.Contains(text, ": verification process is started\n") {
				t.Errorf("exit %d, want %d with %q:\n%s%s", exit, c.exit, c.word, text, &errOut)
			}
		})
	}
}

// Batches of other lengths: what follows cannot be compared.
func TestReplicaVerificationApart(t *testing.T) {
	var two record.Builder
	two.Reset(record.NewCompression(record.None), 0)
	two.Append(1, nil, []byte("a"))
	two.Append(1, nil, []byte("b"))
	b, err := two.Build()
	if err != nil {
		t.Fatal(err)
	}
	all := newReplicas(t, map[int32]read{1: copyOf(t, 2, "a", "b"), 2: {b, 2}})
	r := runTool(t, newReplicaVerificationTool, "", "--broker-list", all[1].addr, "--time", "-2", "--max-wait-ms", "10")
	if want := ": partition t-0: replica 1's offset 0 doesn't match replica 2's offset 1\n# exit: 1\n"; !strings.HasSuffix(fmt.Sprint(r), want) {
		t.Errorf("%v, want the end %q", r, want)
	}
}

func TestReplicaVerificationRefuses(t *testing.T) {
	b := newFakeBroker(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--topics-include", "a"}, "Missing required argument \"[broker-list]\""},
		{[]string{"--broker-list", b.addr, "--topics-include", "["}, "[ is an invalid regex\njava.lang.RuntimeException: [ is an invalid regex\n"},
		{[]string{"--broker-list", b.addr}, "ERROR No topics found. "},
	} {
		if r := runTool(t, newReplicaVerificationTool, "", c.args...); r.exit != 1 || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%v: %v, want %q", c.args, r, c.want)
		}
	}
}

// TestReplicaVerificationWaitsForLeaders: a partition that nobody leads is waited for, and not for ever.
func TestReplicaVerificationWaitsForLeaders(t *testing.T) {
	all := newReplicas(t, map[int32]read{1: copyOf(t, 1, "a")})
	var asked atomic.Int32
	var leaderless int32
	all[1].on(kmsg.NewPtrListOffsetsRequest(), func(req kmsg.Request) kmsg.Response {
		resp := kmsg.NewPtrListOffsetsResponse()
		resp.Version = req.GetVersion()
		p := kmsg.NewListOffsetsResponseTopicPartition()
		if p.Offset = 1; asked.Add(1) <= leaderless {
			p.Offset, p.ErrorCode = -1, kerr.LeaderNotAvailable.Code
		}
		top := kmsg.NewListOffsetsResponseTopic()
		top.Topic, top.Partitions = "t", []kmsg.ListOffsetsResponseTopicPartition{p}
		resp.Topics = append(resp.Topics, top)
		return resp
	})
	admin, err := client.NewAdmin(client.Properties{"bootstrap.servers": all[1].addr}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	tp := topicPartition{"t", 0}
	for _, c := range []struct {
		leaderless int32
		patience   time.Duration
		want       string
	}{{2, time.Minute, ""}, {1 << 30, 0, "Failed to get offsets by times in "}} {
		asked.Store(0)
		leaderless = c.leaderless
		v := &verification{partitions: []topicPartition{tp}, offsets: map[topicPartition]int64{}, patience: c.patience}
		switch err := v.seek(t.Context(), admin, -1); {
		case c.want == "" && (err != nil || v.offsets[tp] != 1):
			t.Errorf("offset %d, %v; want it once there is a leader", v.offsets[tp], err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%v, want %s…", err, c.want)
		}
	}
}
