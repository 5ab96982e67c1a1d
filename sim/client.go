package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/wire"
)

// client is a client of the cluster on a host of its own that does what it is told once: no repetition hides what a broker
// said. It belongs to one goroutine.
type client struct {
	c     *cluster
	name  string
	life  *life
	group *lifecycle.Group
	peers map[string]*peer.Client
	meta  map[string]*kmsg.MetadataResponseTopic
	addrs map[int32]string
	// newest is the highest leader epoch that was heard of: who tells of a lower one is behind (KIP-320).
	newest map[place]int32
	// only is the id of the only topic that it has to do with; zero: any.
	only [16]byte
	// txnID is the transactional id that it writes under; nil: none.
	txnID *string
	// versions caps those of its requests, by their keys.
	versions map[int16]int16
	// stable says that it reads what is committed only (read_committed).
	stable bool
}

func (c *cluster) newClient(name string) *client {
	c.mu.Lock()
	c.clients++
	ip := net.IPv4(10, 0, byte(1+c.clients>>8), byte(c.clients))
	c.mu.Unlock()
	return &client{c: c, name: name, life: c.net.host(ip).begin(), group: lifecycle.New(name, slog.New(slog.DiscardHandler)), peers: map[string]*peer.Client{},
		meta: map[string]*kmsg.MetadataResponseTopic{}, addrs: map[int32]string{}, newest: map[place]int32{}}
}

func (cl *client) close() {
	for _, p := range cl.peers {
		p.Close()
	}
	cl.group.Stop()
	cl.life.h.end(false)
}

func (cl *client) peer(address string) *peer.Client {
	p := cl.peers[address]
	if p == nil {
		p = peer.New(peer.Config{Address: address, ClientID: cl.name, Dial: cl.life.Dial, Group: cl.group, ConnectTimeout: 2 * time.Second, RequestTimeout: 10 * time.Second,
			MaxBackoff: 100 * time.Millisecond, MaxVersions: cl.versions, Log: slog.New(slog.DiscardHandler)})
		cl.peers[address] = p
	}
	return p
}

// ask sends a request to a broker; -1 is any.
func (cl *client) ask(ctx context.Context, broker int32, req kmsg.Request) (kmsg.Response, error) {
	address, ok := cl.addrs[broker]
	if !ok {
		var up []string
		for _, m := range cl.c.nodes {
			if m.broker() {
				up = append(up, m.address(brokerPort))
			}
		}
		cl.c.mu.Lock()
		address = up[cl.c.rng.IntN(len(up))]
		cl.c.mu.Unlock()
	}
	return cl.peer(address).Do(ctx, req)
}

// refresh learns of the topics' leaders from any broker.
func (cl *client) refresh(ctx context.Context, topics ...string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	for _, t := range topics {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = &t
		req.Topics = append(req.Topics, rt)
	}
	resp, err := cl.ask(ctx, -1, req)
	if err != nil {
		return err
	}
	md := resp.(*kmsg.MetadataResponse)
	for _, b := range md.Brokers {
		cl.addrs[b.NodeID] = net.JoinHostPort(b.Host, fmt.Sprint(b.Port))
	}
	for i := range md.Topics {
		t := &md.Topics[i]
		if t.Topic == nil {
			continue
		}
		if t.ErrorCode != 0 {
			err = errors.Join(err, fmt.Errorf("%s: %w", *t.Topic, wire.Code(t.ErrorCode)))
			continue
		}
		cl.meta[*t.Topic] = t
		for i := range t.Partitions {
			p := &t.Partitions[i]
			cl.c.led(t.TopicID, p.Partition, p.LeaderEpoch, p.Leader)
			if k := (place{topic: *t.Topic, index: p.Partition}); p.LeaderEpoch < cl.newest[k] {
				p.Leader = -1
			} else {
				cl.newest[k] = p.LeaderEpoch
			}
		}
	}
	return err
}

func (cl *client) leader(topic string, index int32) (id int32, topicID [16]byte, epoch int32) {
	if t := cl.meta[topic]; t != nil && (cl.only == [16]byte{} || cl.only == t.TopicID) {
		for _, p := range t.Partitions {
			if p.Partition == index {
				return p.Leader, t.TopicID, p.LeaderEpoch
			}
		}
	}
	return -1, [16]byte{}, -1
}

// errNotWritten is wrapped where a record was certainly not written.
var errNotWritten = errors.New("not written")

// produce appends one batch with acks=all, once, and says at which offset it is.
func (cl *client) produce(ctx context.Context, topic string, index int32, batch record.Batch) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 6*time.Second)
	defer cancel()
	leader, id, _ := cl.leader(topic, index)
	if leader < 0 {
		if err := cl.refresh(ctx, topic); err != nil {
			return -1, fmt.Errorf("%w: %w", errNotWritten, err)
		}
		if leader, id, _ = cl.leader(topic, index); leader < 0 {
			return -1, fmt.Errorf("%w: no leader", errNotWritten)
		}
	}
	p := cl.peer(cl.addrs[leader])
	if err := p.Connect(ctx); err != nil {
		delete(cl.meta, topic)
		return -1, fmt.Errorf("%w: %w", errNotWritten, err)
	}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.TransactionID = -1, 5000, cl.txnID
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = topic, id
	in := kmsg.NewProduceRequestTopicPartition()
	in.Partition, in.Records = index, batch
	t.Partitions = append(t.Partitions, in)
	req.Topics = append(req.Topics, t)
	resp, err := p.Do(ctx, req)
	if err != nil {
		delete(cl.meta, topic)
		return -1, err
	}
	out := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	cl.c.answered("a write", wire.Code(out.ErrorCode))
	switch code := wire.Code(out.ErrorCode); code {
	case wire.None:
		return out.BaseOffset, nil
	case wire.NotEnoughReplicas, wire.UnknownTopicId, wire.UnknownTopicOrPartition:
		delete(cl.meta, topic)
		return -1, fmt.Errorf("%w: %w", errNotWritten, code)
	default:
		delete(cl.meta, topic)
		text := ""
		if out.ErrorMessage != nil {
			text = *out.ErrorMessage
		}
		return -1, fmt.Errorf("broker %d: %w %s", leader, code, text)
	}
}

// fetched is what a fetch of one partition gave.
type fetched struct {
	batches   []record.Batch
	hw, start int64
	broker    int32
	lso       int64                                                // of who reads what is committed
	aborted   []kmsg.FetchResponseTopicPartitionAbortedTransaction // the same
}

// fetch reads a partition from a broker, -1: its leader.
func (cl *client) fetch(ctx context.Context, broker int32, topic string, index int32, offset int64) (*fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, 6*time.Second)
	defer cancel()
	leader, id, epoch := cl.leader(topic, index)
	if leader < 0 {
		if err := cl.refresh(ctx, topic); err != nil {
			return nil, err
		}
		if leader, id, epoch = cl.leader(topic, index); leader < 0 {
			return nil, errors.New("no leader")
		}
	}
	if broker < 0 {
		broker = leader
	}
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.ReplicaState.ID, req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = -1, -1, 500, 1, 1<<20, -1
	if cl.stable {
		req.IsolationLevel = 1
	}
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, id
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.FetchOffset, p.PartitionMaxBytes = index, epoch, offset, 1<<20
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	key := ledKey{id, index, epoch}
	before, stable, life := cl.c.mark(key), cl.c.txns.mark(key), cl.c.runningLife(broker)
	resp, err := cl.ask(ctx, broker, req)
	if err != nil {
		delete(cl.meta, topic)
		return nil, err
	}
	r := resp.(*kmsg.FetchResponse)
	if r.ErrorCode != 0 {
		return nil, wire.Code(r.ErrorCode)
	}
	if len(r.Topics) == 0 || len(r.Topics[0].Partitions) == 0 {
		return nil, errors.New("an empty answer")
	}
	out := r.Topics[0].Partitions[0]
	cl.c.answered("a read", wire.Code(out.ErrorCode))
	if out.ErrorCode != 0 {
		delete(cl.meta, topic)
		return nil, wire.Code(out.ErrorCode)
	}
	f := &fetched{hw: out.HighWatermark, start: out.LogStartOffset, broker: broker, lso: out.LastStableOffset, aborted: out.AbortedTransactions}
	for rest := out.RecordBatches; len(rest) >= record.HeaderSize; {
		b := record.Batch(rest)
		if b.Size() > len(rest) {
			break // cut by the limit
		}
		b = b[:b.Size()]
		if err := b.VerifyCRC(); err != nil {
			cl.c.fail("I2", "broker %d sends a batch of %s-%d at %d that is broken: %v", broker, topic, index, b.BaseOffset(), err)
			return nil, err
		}
		f.batches = append(f.batches, b)
		rest = rest[b.Size():]
	}
	if broker == leader {
		cl.c.marked(key, topic, before, f)
		if cl.stable {
			cl.c.markedStable(key, topic, stable, f)
		}
		if life != nil && life == cl.c.runningLife(broker) {
			cl.c.leads(life, topic, id, index, epoch)
		}
	}
	return f, nil
}
