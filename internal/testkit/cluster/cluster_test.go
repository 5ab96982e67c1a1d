package cluster

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestRecordsReachAllReplicas(t *testing.T) {
	c := New(t, 3)
	c.CreateTopic("t", 3, 3, "min.insync.replicas", "2")
	cl := c.Client(kgo.DefaultProduceTopic("t"))
	for i := range 300 {
		if err := cl.ProduceSync(c.Context(), kgo.StringRecord(fmt.Sprint(i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	c.Eventually("all replicas have all", func() bool {
		for _, b := range c.Brokers {
			sum := int64(0)
			for i := range int32(3) {
				r, _, _ := b.Replicas.Find("t", [16]byte{}, i, false)
				if r == nil || r.Log() == nil {
					return false
				}
				sum += r.Log().HighWatermark()
			}
			if sum != 300 {
				return false
			}
		}
		return true
	})
}
