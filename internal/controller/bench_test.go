package controller

import (
	"fmt"
	"testing"
)

// BenchmarkCreate10000Partitions makes one topic of 10,000 partitions, or 1,000 topics of ten, one request each, on a
// file system in memory: the controller's own cost.
func BenchmarkCreate10000Partitions(b *testing.B) {
	for _, shape := range []struct {
		topics     int
		partitions int32
	}{{1, 10000}, {1000, 10}} {
		b.Run(fmt.Sprintf("%dx%d", shape.topics, shape.partitions), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				b.StopTimer()
				k := newCluster(b)
				k.broker(1, -1)
				b.StartTimer()
				for i := range shape.topics {
					k.create(fmt.Sprintf("t%d", i), shape.partitions, 1)
				}
				b.StopTimer()
				k.g.Stop()
			}
		})
	}
}
