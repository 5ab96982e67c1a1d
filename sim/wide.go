package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// wideTopic has as many partitions as there are brokers, each with three replicas; wideTopics more are like it.
const (
	wideTopic  = "wide"
	wideTopics = 10
)

// widely is what a cluster of many nodes is measured by.
type widely struct {
	up       elapsed // until all nodes serve and all replicas are in sync
	idle     elapsed // ten seconds of rest
	broker   elapsed // from a broker's kill until all partitions that it led take records again
	decided  elapsed // from the active controller's kill until a topic can be made
	restarts elapsed // of some nodes in turn, each until all is in sync again
	written  int
}

// spread runs a cluster of controllers and brokers that are apart; it is called inside the bubble.
func (c *cluster) spread(controllers, brokers int) (*widely, error) {
	defer c.end()
	out := &widely{}
	c.voting = votersStatic
	c.extra = append(c.extra, "default.replication.factor=3", "min.insync.replicas=2", "offsets.topic.num.partitions=2")
	roles := append(slices.Repeat([]string{"controller"}, controllers), slices.Repeat([]string{"broker"}, brokers)...)
	c.add(roles...)
	for _, m := range c.nodes {
		m.run()
	}
	cl := c.newClient("spread")
	defer cl.close()
	all := c.nodes[controllers:]
	var err error
	step := func(to *elapsed, f func() error) {
		if err == nil {
			*to, err = measured(f)
		}
	}
	healthy := func() bool {
		for _, m := range c.nodes {
			if !m.serving() {
				return false
			}
		}
		n := 1 + wideTopics
		return c.spreadWell(cl, all[0], n*brokers) && c.spreadWell(cl, all[len(all)-1], n*brokers)
	}
	step(&out.up, func() error {
		for i := range 1 + wideTopics {
			name := wideTopic
			if i > 0 {
				name += fmt.Sprint("-", i)
			}
			if err := c.eventually("a topic", func() bool {
				t := kmsg.NewCreateTopicsRequestTopic()
				t.Topic, t.NumPartitions, t.ReplicationFactor = name, int32(brokers), 3
				req := kmsg.NewPtrCreateTopicsRequest()
				req.TimeoutMillis, req.Topics = 10000, append(req.Topics, t)
				resp, err := cl.at(all[0], req)
				if err != nil {
					return false
				}
				code := resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode
				return len(c.brokersKnown(cl, all[0])) == brokers && (code == 0 || code == 36)
			}); err != nil {
				return err
			}
		}
		return c.eventually("a healthy cluster", healthy)
	})
	write := func() error { return c.writeEverywhere(cl, brokers, &out.written) }
	step(new(elapsed), write)
	step(&out.idle, func() error { c.pause(10 * time.Second); return nil })
	victim := all[brokers/2]
	step(&out.broker, func() error { victim.kill(false); return write() })
	step(new(elapsed), func() error { victim.run(); return c.eventually("health after a broker's kill", healthy) })
	var dead *machine
	if err == nil {
		dead, err = c.controllerOf(cl, all[0])
	}
	step(&out.decided, func() error {
		dead.kill(false)
		return c.eventually("a decision of another controller", func() bool { return c.makeTopics(cl, all[0], "decided") == nil })
	})
	step(new(elapsed), func() error { dead.run(); return c.eventually("health after a controller's kill", healthy) })
	step(&out.restarts, func() error {
		for _, m := range append(slices.Clone(c.nodes[:controllers]), all[:min(5, brokers)]...) {
			if err := m.shutDown(); err != nil {
				return err
			}
			if err := write(); err != nil {
				return err
			}
			m.run()
			if err := c.eventually("health after a restart", healthy); err != nil {
				return err
			}
		}
		return write()
	})
	if err == nil {
		err = c.countAll(cl, brokers, out.written)
	}
	return out, err
}

// brokersKnown are the brokers that a node tells of.
func (c *cluster) brokersKnown(cl *client, m *machine) []kmsg.MetadataResponseBroker {
	resp, err := cl.at(m, metadataOf(wideTopic))
	if err != nil {
		return nil
	}
	return resp.(*kmsg.MetadataResponse).Brokers
}

// spreadWell reports whether a node knows so many partitions of the wide topics, all with three replicas in sync.
func (c *cluster) spreadWell(cl *client, m *machine, partitions int) bool {
	resp, err := cl.at(m, kmsg.NewPtrMetadataRequest())
	if err != nil {
		return false
	}
	n := 0
	for _, t := range resp.(*kmsg.MetadataResponse).Topics {
		if !strings.HasPrefix(*t.Topic, wideTopic) {
			continue
		}
		for i := range t.Partitions {
			if !whole(&t.Partitions[i]) {
				return false
			}
			n++
		}
	}
	return n == partitions
}

// controllerOf is the node that leads the quorum, as a broker says.
func (c *cluster) controllerOf(cl *client, m *machine) (*machine, error) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	req.Version = 1
	t := kmsg.NewDescribeQuorumRequestTopic()
	t.Topic = "__cluster_metadata"
	t.Partitions = append(t.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, t)
	resp, err := cl.at(m, req)
	if err != nil {
		return nil, err
	}
	id := resp.(*kmsg.DescribeQuorumResponse).Topics[0].Partitions[0].LeaderID
	return c.nodes[id-1], nil
}

// writeEverywhere writes one record to each partition of the wide topic, with acks=all, as often as it takes.
func (c *cluster) writeEverywhere(cl *client, partitions int, written *int) error {
	for i := range int32(partitions) {
		*written++
		batch := batchOf(fmt.Sprint(*written))
		if err := c.eventually(fmt.Sprintf("a record in partition %d", i), func() bool {
			_, err := cl.produce(c.ctx, wideTopic, i, slices.Clone(batch))
			if err != nil {
				cl.addrs = map[int32]string{} // whoever was asked may be the one that is down
			}
			return err == nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// countAll reads all that was written: each record is there, some twice where the answer to the first was lost.
func (c *cluster) countAll(cl *client, partitions, written int) error {
	seen := map[string]bool{}
	for i := range int32(partitions) {
		var offset int64
		for {
			var f *fetched
			if err := c.eventually("records of a partition", func() bool {
				var err error
				f, err = cl.fetch(context.Background(), -1, wideTopic, i, offset)
				return err == nil
			}); err != nil {
				return err
			}
			if len(f.batches) == 0 {
				break
			}
			for _, b := range f.batches {
				it := b.Records(1 << 20)
				for it.Next() {
					seen[string(it.Record().Value)] = true
				}
				if err := it.Close(); err != nil {
					return err
				}
				offset = b.NextOffset()
			}
		}
	}
	if len(seen) != written {
		return errors.New("lost: " + fmt.Sprintf("%d of %d records are there", len(seen), written))
	}
	return nil
}
