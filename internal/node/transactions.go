package node

import (
	"context"
	"fmt"
	"sync"

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
	n.colleagues = &colleagues{n: n, clients: map[int32]*peer.Client{}}
	n.markers = &txn.LocalMarkers{Replicas: n.replicas, Groups: n.groups, Timeout: cfg.RequestTimeout}
	n.txns = txn.New(cfg, txn.Deps{
		Partitions: partitions{n.replicas}, PartitionCount: n.transactionPartitions, Cluster: n.colleagues,
		NewProducerID: func(ctx context.Context) (int64, error) { return lateIDs{n}.Next(ctx) },
		Group:         n.work, Logger: n.room("txn"), Now: n.opts.Now,
	})
	n.verifier = txn.NewVerifier(n.txns)
}

// transactionPartitions is the number of partitions of __transaction_state, or what it will be made with.
func (n *Node) transactionPartitions() int32 {
	if t := n.image.Load().TopicByName(txn.StateTopic); t != nil {
		return int32(len(t.Partitions))
	}
	return int32(n.config.Load().Int("transaction.state.log.num.partitions"))
}

// colleagues are the brokers of the cluster, as coordinators of transactions see them: whom they lead, and how to ask them.
type colleagues struct {
	n *Node

	mu      sync.Mutex
	clients map[int32]*peer.Client
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
	client, err := c.to(broker)
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

// to is the client to a broker, made anew when the broker is somewhere else.
func (c *colleagues) to(broker int32) (*peer.Client, error) {
	cfg, err := c.n.peerConfig(broker)
	if err != nil {
		return nil, err
	}
	cfg.ClientID, cfg.RequestTimeout, cfg.Direct = fmt.Sprintf("broker-%d-txn", c.n.id), c.n.config.Load().Millis("request.timeout.ms"), false
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.clients[broker]; old != nil {
		if old.Address() == cfg.Address {
			return old, nil
		}
		old.Close()
	}
	c.clients[broker] = peer.New(cfg)
	return c.clients[broker], nil
}

func (c *colleagues) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, client := range c.clients {
		client.Close()
		delete(c.clients, id)
	}
}
