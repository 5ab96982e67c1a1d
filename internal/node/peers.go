package node

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/replica"
	"github.com/weir-stream/weir/internal/wire"
)

// rackAwareSelector is the one selector that Apache Kafka brings besides "the leader".
const rackAwareSelector = "org.apache.kafka.common.replica.RackAwareReplicaSelector"

// replicaSettings is the node's settings in the words of the replicas.
func replicaSettings(c *config.Set) replica.Settings {
	return replica.Settings{
		LagMax: c.Millis("replica.lag.time.max.ms"), Fetchers: c.Int("num.replica.fetchers"),
		FetchMaxBytes: int32(c.Int("replica.fetch.max.bytes")), ResponseMaxBytes: int32(c.Int("replica.fetch.response.max.bytes")),
		FetchMinBytes: int32(c.Int("replica.fetch.min.bytes")), FetchWaitMax: c.Millis("replica.fetch.wait.max.ms"),
		FetchBackoff: c.Millis("replica.fetch.backoff.ms"), RackAwareSelector: c.String("replica.selector.class") == rackAwareSelector,
		LeaderThrottle: c.Long("leader.replication.throttled.rate"), FollowerThrottle: c.Long("follower.replication.throttled.rate"),
	}
}

// aliveBroker tells a broker's epoch, and whether it may join an ISR.
func (n *Node) aliveBroker(id int32) (int64, bool) {
	b := n.image.Load().Broker(id)
	if b == nil {
		return -1, false
	}
	return b.Epoch, b.Active()
}

func (n *Node) rackOf(id int32) string {
	if b := n.image.Load().Broker(id); b != nil && b.Rack != nil {
		return *b.Rack
	}
	return ""
}

// peerTo makes a client to another broker, at the address that the metadata has now.
func (n *Node) peerTo(id int32) (*peer.Client, error) {
	cfg, err := n.peerConfig(id)
	if err != nil {
		return nil, err
	}
	cfg.ClientID, cfg.RequestTimeout = fmt.Sprintf("broker-%d-fetcher", n.id), n.config.Load().Millis("replica.socket.timeout.ms")
	return peer.New(cfg), nil
}

// peerConfig says how to reach another broker, at the address that the metadata has now.
func (n *Node) peerConfig(id int32) (peer.Config, error) {
	cfg := n.config.Load()
	b := n.image.Load().Broker(id)
	if b == nil {
		return peer.Config{}, fmt.Errorf("broker %d is not registered: %w", id, wire.BrokerNotAvailable)
	}
	listener := cfg.Node().InterBroker
	ep, ok := b.Endpoint(listener)
	if !ok {
		return peer.Config{}, fmt.Errorf("broker %d has no listener %s: %w", id, listener, wire.BrokerNotAvailable)
	}
	return n.secured(listener, peer.Config{
		Address: net.JoinHostPort(ep.Host, strconv.Itoa(int(ep.Port))), ReceiveBufferBytes: cfg.Int("replica.socket.receive.buffer.bytes"),
		Direct: true, Group: n.work, Log: n.room("peer"),
	}), nil
}

// throttled reports whether a topic's list of throttled replicas ("*", or partition:broker pairs) has this broker's.
func throttled(list string, index, broker int32) bool {
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "*" || entry == fmt.Sprintf("%d:%d", index, broker) {
			return true
		}
	}
	return false
}

// throttleTopic tells the replicas of a topic whether their copies are held back.
func (n *Node) throttleTopic(img *image.Image, t *image.Topic) {
	set := img.Config(image.TopicConfig, t.Name)
	leader, follower := set["leader.replication.throttled.replicas"], set["follower.replication.throttled.replicas"]
	for i := range t.Partitions {
		if r, _, code := n.replicas.Find(t.Name, t.ID, int32(i), true); code == wire.None {
			r.SetThrottled(throttled(leader, int32(i), n.id), throttled(follower, int32(i), n.id))
		}
	}
}
