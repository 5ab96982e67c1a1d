package node

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestForwardedChangesAreSeen: who has a topic made by a broker that forwards finds it there when the answer comes.
func TestForwardedChangesAreSeen(t *testing.T) {
	k := newClusterOf(t, []string{"controller", "broker", "broker"})
	k.start(k.members...)
	for i := range 60 {
		m := k.members[1+i%2]
		c, err := kgo.NewClient(kgo.SeedBrokers(m.address))
		if err != nil {
			t.Fatal(err)
		}
		b := c.SeedBrokers()[0]
		req := kmsg.NewPtrCreateTopicsRequest()
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = fmt.Sprint("t", i), 1, 2
		req.Topics = append(req.Topics, topic)
		if _, err := b.Request(k.ctx(), req); err != nil {
			t.Fatal(err)
		}
		if m.n.image.Load().TopicByName(topic.Topic) == nil {
			t.Errorf("broker %d answered before it has seen topic %s", m.id, topic.Topic)
		}
		c.Close()
	}
}
