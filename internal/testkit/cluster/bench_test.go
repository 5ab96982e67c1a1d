package cluster

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/record"
)

// BenchmarkReplicatedProduce writes batches of 64 KiB with acks=all to six partitions of three replicas, ten under way at a
// time. Brokers, their clients and the load share the process.
func BenchmarkReplicatedProduce(b *testing.B) {
	c := New(b, 0)
	for range 3 {
		c.Add(func(o *Broker) { o.Root = b.TempDir() })
	}
	c.CreateTopic("t", 6, 3, "min.insync.replicas", "2")
	c.UntilInSync("t")
	img, _ := c.Image()
	id := img.TopicByName("t").ID
	var builder record.Builder
	for range 64 {
		builder.Append(1700000000000, nil, make([]byte, 1000))
	}
	batch, err := builder.Build()
	if err != nil {
		b.Fatal(err)
	}
	var clients []*peer.Client
	for i := range int32(6) {
		leader := c.Leader("t", i)
		clients = append(clients, peer.New(peer.Config{Address: leader.Address(), ClientID: fmt.Sprint(i), Group: leader.work}))
	}
	b.SetBytes(int64(len(batch)))
	b.ResetTimer()
	jobs := make(chan int32, b.N)
	for i := range b.N {
		jobs <- int32(i % 6)
	}
	close(jobs)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for p := range jobs {
				req := kmsg.NewPtrProduceRequest()
				req.Acks, req.TimeoutMillis = -1, 10_000
				topic := kmsg.NewProduceRequestTopic()
				topic.Topic, topic.TopicID = "t", id
				in := kmsg.NewProduceRequestTopicPartition()
				in.Partition, in.Records = p, slices.Clone(batch)
				topic.Partitions = append(topic.Partitions, in)
				req.Topics = append(req.Topics, topic)
				resp, err := clients[p].Do(c.Context(), req)
				if err != nil {
					b.Error(err)
					return
				}
				if code := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode; code != 0 {
					b.Error(code)
					return
				}
			}
		})
	}
	wg.Wait()
}
