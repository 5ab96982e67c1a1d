package wire

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/vfs"
)

// sameProduce compares what the two decoders made of the same bytes.
func sameProduce(t *testing.T, version int16, got *ProduceRequest, want *kmsg.ProduceRequest) {
	t.Helper()
	if diff := cmp.Diff(want.TransactionID, got.TransactionalID); diff != "" {
		t.Fatal(diff)
	}
	if got.Acks != want.Acks || got.TimeoutMs != want.TimeoutMillis || len(got.Topics) != len(want.Topics) {
		t.Fatalf("version %d: got %+v, want %+v", version, got, want)
	}
	for i := range want.Topics {
		g, w := &got.Topics[i], &want.Topics[i]
		if g.Name != w.Topic || g.ID != w.TopicID || len(g.Partitions) != len(w.Partitions) {
			t.Fatalf("version %d topic %d: got %+v, want %+v", version, i, g, w)
		}
		for k := range w.Partitions {
			if g.Partitions[k].Index != w.Partitions[k].Partition || !bytes.Equal(g.Partitions[k].Records, w.Partitions[k].Records) ||
				(g.Partitions[k].Records == nil) != (w.Partitions[k].Records == nil) {
				t.Fatalf("version %d topic %d partition %d differ", version, i, k)
			}
		}
	}
}

func randomProduce(rng *rand.Rand, version int16) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, int16(rng.IntN(3)-1), int32(rng.Uint32())
	if rng.IntN(2) == 0 {
		req.TransactionID = kmsg.StringPtr("tx")
	}
	for range rng.IntN(4) {
		t := kmsg.NewProduceRequestTopic()
		if version >= 13 {
			t.TopicID = [16]byte{1, byte(rng.Uint32())}
		} else {
			t.Topic = "topic-name"[:rng.IntN(11)]
		}
		for range rng.IntN(4) {
			p := kmsg.NewProduceRequestTopicPartition()
			p.Partition = int32(rng.Uint32())
			if rng.IntN(4) > 0 {
				p.Records = make([]byte, rng.IntN(300))
			}
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

func TestProduceDecoderEqualsKmsg(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var reused ProduceRequest
	for range 1500 {
		version := int16(3 + rng.IntN(11))
		body := randomProduce(rng, version).AppendTo(nil)
		want := kmsg.NewPtrProduceRequest()
		want.Version = version
		if err := want.ReadFrom(body); err != nil {
			t.Fatal(err)
		}
		if err := reused.Decode(version, body, 1<<20); err != nil {
			t.Fatal(err)
		}
		sameProduce(t, version, &reused, want)
		for range 20 {
			cut := rng.IntN(len(body))
			if err := reused.Decode(version, body[:cut], 1<<20); err == nil {
				t.Fatalf("version %d cut at %d of %d was accepted", version, cut, len(body))
			}
		}
		reused.Reset()
	}
}

func FuzzProduceDecoder(f *testing.F) {
	rng := rand.New(rand.NewPCG(7, 8))
	for version := int16(3); version <= 13; version++ {
		for range 3 {
			f.Add(version, randomProduce(rng, version).AppendTo(nil))
		}
	}
	f.Fuzz(func(t *testing.T, version int16, body []byte) {
		if version < 3 || version > 13 {
			return
		}
		var got ProduceRequest
		if err := got.Decode(version, body, 1<<20); err != nil {
			return // stricter than kmsg about nulls, lengths and tags
		}
		want := kmsg.NewPtrProduceRequest()
		want.Version = version
		if err := want.ReadFrom(body); err != nil {
			t.Fatalf("kmsg refuses what was accepted: %v", err)
		}
		sameProduce(t, version, &got, want)
		if _, err := CheckBody(0, version, body, 4<<20); err != nil {
			t.Fatalf("the walk refuses what was accepted: %v", err)
		}
	})
}

func TestProduceDecoderIsBounded(t *testing.T) {
	body := []byte{0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0x3f} // v9: null id, acks, timeout, a million topics
	body = append(body, bytes.Repeat([]byte{1, 1, 0}, 1<<20)...)
	var r ProduceRequest
	if err := r.Decode(9, body, 1<<20); err == nil {
		t.Fatalf("%d topics were accepted", len(r.Topics))
	}
}

// fetchPair builds the same answer twice.
func fetchPair(rng *rand.Rand, version int16, file vfs.File) (*FetchResponse, *kmsg.FetchResponse) {
	got := &FetchResponse{Version: version, ThrottleMs: int32(rng.IntN(100)), ErrorCode: Code(rng.IntN(50)), SessionID: int32(rng.Uint32())}
	want := kmsg.NewPtrFetchResponse()
	want.Version, want.ThrottleMillis, want.ErrorCode, want.SessionID = version, got.ThrottleMs, int16(got.ErrorCode), got.SessionID
	for range rng.IntN(4) {
		gt, wt := FetchTopic{Name: "topic-name"[:rng.IntN(11)], ID: TopicID{9, byte(rng.Uint32())}}, kmsg.NewFetchResponseTopic()
		wt.Topic, wt.TopicID = gt.Name, gt.ID
		for range rng.IntN(5) {
			gp, wp := fetchPartitionPair(rng, file)
			gt.Partitions, wt.Partitions = append(gt.Partitions, gp), append(wt.Partitions, wp)
		}
		got.Topics, want.Topics = append(got.Topics, gt), append(want.Topics, wt)
	}
	if version >= 16 {
		for range rng.IntN(3) {
			n := kmsg.NewFetchResponseBroker()
			n.NodeID, n.Host, n.Port = int32(rng.IntN(9)), "host.example"[:rng.IntN(12)], 9092
			if rng.IntN(2) == 0 {
				n.Rack = kmsg.StringPtr("rack")
			}
			got.NodeEndpoints, want.Brokers = append(got.NodeEndpoints, n), append(want.Brokers, n)
		}
	}
	return got, want
}

func fetchPartitionPair(rng *rand.Rand, file vfs.File) (FetchPartition, kmsg.FetchResponseTopicPartition) {
	g, w := FetchPartition{}, kmsg.NewFetchResponseTopicPartition()
	g.Index, g.ErrorCode = int32(rng.Uint32()), Code(rng.IntN(100))
	g.HighWatermark, g.LastStableOffset, g.LogStartOffset = rng.Int64(), rng.Int64(), rng.Int64()
	g.PreferredReadReplica = int32(rng.IntN(5) - 1)
	w.Partition, w.ErrorCode, w.PreferredReadReplica = g.Index, int16(g.ErrorCode), g.PreferredReadReplica
	w.HighWatermark, w.LastStableOffset, w.LogStartOffset = g.HighWatermark, g.LastStableOffset, g.LogStartOffset
	w.RecordBatches = []byte{}
	if rng.IntN(3) == 0 {
		g.AbortedTransactions = make([]AbortedTransaction, rng.IntN(3))
		w.AbortedTransactions = make([]kmsg.FetchResponseTopicPartitionAbortedTransaction, len(g.AbortedTransactions))
		for i := range g.AbortedTransactions {
			g.AbortedTransactions[i] = AbortedTransaction{rng.Int64(), rng.Int64()}
			w.AbortedTransactions[i].ProducerID, w.AbortedTransactions[i].FirstOffset = g.AbortedTransactions[i].ProducerID, g.AbortedTransactions[i].FirstOffset
		}
	}
	if rng.IntN(3) == 0 {
		g.DivergingEpoch = &EpochEnd{int32(rng.IntN(9)), rng.Int64()}
		w.DivergingEpoch.Epoch, w.DivergingEpoch.EndOffset = g.DivergingEpoch.Epoch, g.DivergingEpoch.EndOffset
	}
	if rng.IntN(3) == 0 {
		g.CurrentLeader = &LeaderHint{int32(rng.IntN(9)), int32(rng.IntN(9))}
		w.CurrentLeader.LeaderID, w.CurrentLeader.LeaderEpoch = g.CurrentLeader.LeaderID, g.CurrentLeader.LeaderEpoch
	}
	if rng.IntN(3) == 0 {
		g.SnapshotID = &EpochEnd{int32(rng.IntN(9)), rng.Int64()}
		w.SnapshotID.Epoch, w.SnapshotID.EndOffset = g.SnapshotID.Epoch, g.SnapshotID.EndOffset
	}
	switch rng.IntN(3) {
	case 0:
		g.Bytes = make([]byte, rng.IntN(2*inlineBytes))
		w.RecordBatches = g.Bytes
	case 1:
		off, n := int64(rng.IntN(100)), int64(rng.IntN(5000))
		g.Records = vfs.NewRange(file, off, n, nil)
		w.RecordBatches = make([]byte, n)
		if _, err := file.ReadAt(w.RecordBatches, off); err != nil {
			panic(err)
		}
	}
	return g, w
}

func segment(t testing.TB) vfs.File {
	t.Helper()
	fs := vfs.NewMem()
	if err := fs.MkdirAll("/d"); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Open("/d/segment", vfs.Create)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 10_000)
	for i := range data {
		data[i] = byte(i)
	}
	if _, err := f.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	return f
}

func FuzzFetchEncoder(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed, int16(4+seed%15))
	}
	file := segment(f)
	f.Fuzz(func(t *testing.T, seed uint64, version int16) {
		if version < 4 || version > 18 {
			return
		}
		got, want := fetchPair(rand.New(rand.NewPCG(seed, 1)), version, file)
		if g, w := got.AppendTo(nil), want.AppendTo(nil); !bytes.Equal(g, w) {
			t.Fatalf("version %d seed %d: %d bytes, kmsg has %d", version, seed, len(g), len(w))
		}
	})
}

func TestFetchEncoderEqualsKmsg(t *testing.T) {
	file := segment(t)
	for seed := range uint64(3000) {
		version := int16(4 + seed%15)
		got, want := fetchPair(rand.New(rand.NewPCG(seed, 2)), version, file)
		if g, w := got.AppendTo(nil), want.AppendTo(nil); !bytes.Equal(g, w) {
			t.Fatalf("version %d seed %d: %d bytes, kmsg has %d", version, seed, len(g), len(w))
		}
	}
}

func TestFetchReleaseGivesBackEachRangeOnce(t *testing.T) {
	released := 0
	r := vfs.NewRange(segment(t), 0, 10, func() { released++ })
	resp := &FetchResponse{Topics: []FetchTopic{{Partitions: []FetchPartition{{Records: r}, {}}}}}
	resp.Release()
	resp.Release()
	if released != 1 {
		t.Fatalf("released %d times", released)
	}
}

func BenchmarkProduceDecode(b *testing.B) {
	req := kmsg.NewPtrProduceRequest()
	req.Version = 9
	t := kmsg.NewProduceRequestTopic()
	t.Topic = "topic"
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = make([]byte, 64<<10)
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	body := req.AppendTo(nil)
	var r ProduceRequest
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Decode(9, body, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFetchEncode(b *testing.B) {
	r := vfs.NewRange(nil, 0, 1<<20, nil)
	resp := &FetchResponse{Version: 12, Topics: []FetchTopic{{Name: "topic", Partitions: []FetchPartition{{Records: r, PreferredReadReplica: -1}}}}}
	var buf []byte
	var cuts []Cut
	b.ReportAllocs()
	for b.Loop() {
		buf, cuts = resp.Encode(buf[:0], cuts[:0])
	}
}
