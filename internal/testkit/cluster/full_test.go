package cluster

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A leader whose disk is full hands its partitions to brokers that have room, and follows again when it was started with room.
func TestLeaderWithAFullDisk(t *testing.T) {
	c := New(t, 3)
	c.CreateTopic("t", 4, 3, "min.insync.replicas", "2")
	c.UntilInSync("t")
	cl := c.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	write := func(topic string, p int32) error {
		return cl.ProduceSync(c.Context(), &kgo.Record{Topic: topic, Partition: p, Value: []byte("x")}).FirstErr()
	}
	for p := range int32(4) {
		if err := write("t", p); err != nil {
			t.Fatal(err)
		}
	}
	b := c.Leader("t", 0)
	for _, dir := range []string{"/a", "/b"} {
		if r, _, _ := b.Replicas.Find("t", [16]byte{}, 0, false); r.Log() != nil && r.Log().Dir().Path == dir {
			b.FillDir(dir)
		}
	}
	for p := range int32(4) { // the client tries until somebody takes it
		if err := write("t", p); err != nil {
			t.Errorf("partition %d: %v", p, err)
		}
	}
	if now := c.Leader("t", 0); now == b {
		t.Error("the broker with the full disk leads still")
	}
	b.Kill()
	b.Start()
	c.UntilInSync("t")
}
