package node

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/txn"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/wire"
)

// openTransactions builds what has to do with transactions: their coordinator, the writer of markers, and who asks.
func (n *Node) openTransactions() {
	cfg := txn.ConfigFrom(n.config.Load())
	n.colleagues = &colleagues{n: n, clients: map[colleague]*peer.Client{}}
	n.markers = &txn.LocalMarkers{Replicas: n.replicas, Groups: n.groups, Timeout: min(markerPatience, cfg.RequestTimeout/2)}
	n.txns = txn.New(cfg, txn.Deps{
		Partitions: partitions{n.replicas}, PartitionCount: n.transactionPartitions, Cluster: n.colleagues,
		NewProducerID: func(ctx context.Context) (int64, error) { return lateIDs{n}.Next(ctx) },
		Group:         n.work, Logger: n.room("txn"), Now: n.opts.Now,
	})
	n.verifier = txn.NewVerifier(n.txns, n.opts.Metrics)
}

// transactionPartitions is the number of partitions of __transaction_state, or what it will be made with.
func (n *Node) transactionPartitions() int32 {
	if t := n.image.Load().TopicByName(txn.StateTopic); t != nil {
		return int32(len(t.Partitions))
	}
	return int32(n.config.Load().Int("transaction.state.log.num.partitions"))
}

// markerPatience is how long a request for markers waits for one of them to be committed: its answer, and the requests behind it,
// are about other transactions too. Who sent it comes again.
const markerPatience = 3 * time.Second

// colleague is a broker and what is asked of it. Requests of a connection are answered one after the other, so that questions,
// which producers wait for, are not asked behind markers.
type colleague struct {
	broker int32
	key    int16
}

// colleagues are the brokers of the cluster, as coordinators of transactions see them: whom they lead, and how to ask them.
type colleagues struct {
	n *Node

	mu      sync.Mutex
	clients map[colleague]*peer.Client
}

// Leader implements txn.Cluster.
func (c *colleagues) Leader(tp log.TopicPartition) (int32, bool) {
	img := c.n.image.Load()
	t := img.TopicByName(tp.Topic)
	if t == nil || t.Partition(tp.Partition) == nil {
		return -1, false
	}
	leader := t.Partition(tp.Partition).Leader
	if !img.Broker(leader).Active() {
		return -1, true
	}
	return leader, true
}

// Version implements txn.Cluster.
func (c *colleagues) Version() int8 {
	return int8(min(c.n.image.Load().Finalized(image.FeatureTransaction), 2))
}

// Ask implements txn.Cluster.
func (c *colleagues) Ask(ctx context.Context, broker int32, req kmsg.Request) (kmsg.Response, error) {
	if broker == c.n.id {
		return c.askMyself(ctx, req)
	}
	client, err := c.to(broker, req.Key())
	if err != nil {
		return nil, err
	}
	return client.Do(ctx, req)
}

func (c *colleagues) askMyself(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	got := make(chan kmsg.Response, 1)
	switch req := req.(type) {
	case *kmsg.WriteTxnMarkersRequest:
		req.Version = req.MaxVersion()
		c.n.markers.Write(req, func(resp *kmsg.WriteTxnMarkersResponse) { got <- resp })
	case *kmsg.AddPartitionsToTxnRequest:
		req.Version = req.MaxVersion()
		img := c.n.image.Load()
		c.n.txns.AddForBrokers(req, func(tp log.TopicPartition) bool {
			t := img.TopicByName(tp.Topic)
			return t != nil && t.Partition(tp.Partition) != nil
		}, func(resp *kmsg.AddPartitionsToTxnResponse) { got <- resp })
	default:
		return nil, fmt.Errorf("%T is not asked of this broker: %w", req, wire.UnsupportedVersion)
	}
	select {
	case resp := <-got:
		return resp, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// to is the client to a broker for requests of one kind, made anew when the broker is somewhere else.
func (c *colleagues) to(broker int32, key int16) (*peer.Client, error) {
	cfg, err := c.n.peerConfig(broker)
	if err != nil {
		return nil, err
	}
	what := "add-partitions-to-txn"
	if key == writeTxnMarkersKey {
		what = "txn-marker-sender"
	}
	cfg.ClientID, cfg.RequestTimeout, cfg.Direct = fmt.Sprintf("broker-%d-%s", c.n.id, what), c.n.config.Load().Millis("request.timeout.ms"), false
	c.mu.Lock()
	defer c.mu.Unlock()
	at := colleague{broker, key}
	if old := c.clients[at]; old != nil {
		if old.Address() == cfg.Address {
			return old, nil
		}
		old.Close()
	}
	c.clients[at] = peer.New(cfg)
	return c.clients[at], nil
}

const writeTxnMarkersKey = 27

func (c *colleagues) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, client := range c.clients {
		client.Close()
		delete(c.clients, id)
	}
}
