package node

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/controller"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/replica"
	"github.com/weir-stream/weir/internal/wire"
)

const (
	// auditPatience is for how long a batch of events is tried to be written: longer than a leader takes to move. Events that come
	// meanwhile wait in the audit log's queue.
	auditPatience = 30 * time.Second
	// auditPause and auditPauseMax bound the pauses between tries.
	auditPause, auditPauseMax = 50 * time.Millisecond, time.Second
	// auditCommit is how long a leader may take to commit a batch.
	auditCommit = 10 * time.Second
)

// auditSink writes the events of this node to a topic, a record each, with acks=all: to a partition that this node leads, or by
// Produce to the broker that leads one. It makes the topic when it is not there. A batch whose fate is not known is written
// again, so that events may be there twice after a leader was lost. It belongs to the goroutine of the audit log.
type auditSink struct {
	n     *Node
	topic string

	batch record.Builder
	key   []byte
	tries int32 // of all time, to go through the partitions

	to       *peer.Client // the leader that was written to last
	toBroker int32
}

// Write implements audit.Sink.
func (s *auditSink) Write(line []byte) {
	if s.key == nil {
		s.key = strconv.AppendInt(nil, int64(s.n.id), 10)
	}
	s.batch.Append(s.n.opts.Now().UnixMilli(), s.key, line)
}

// Flush implements audit.Sink: it returns when the events are committed.
func (s *auditSink) Flush(ctx context.Context) error {
	defer s.batch.Reset(record.NewCompression(record.None), 0)
	if s.batch.NumRecords() == 0 {
		return nil
	}
	b, err := s.batch.Build()
	if err != nil {
		return fmt.Errorf("make a batch for the audit topic %s: %w", s.topic, err)
	}
	ctx, cancel := context.WithTimeout(ctx, auditPatience)
	defer cancel()
	for pause := auditPause; ; pause = min(2*pause, auditPauseMax) {
		if err = s.write(ctx, b); err == nil {
			return nil
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("write to the audit topic %s: %w", s.topic, err)
		}
	}
}

// Close implements audit.Sink.
func (s *auditSink) Close() error {
	s.hangUp()
	return nil
}

var errStillStarting = errors.New("the node is still starting")

// write tries once.
func (s *auditSink) write(ctx context.Context, b record.Batch) error {
	if !s.n.serving.Load() {
		return errStillStarting
	}
	t := s.n.image.Load().TopicByName(s.topic)
	if t == nil {
		if err := s.create(ctx); err != nil {
			return err
		}
		if t = s.n.image.Load().TopicByName(s.topic); t == nil {
			return wire.UnknownTopicOrPartition // it is on its way to this node
		}
	}
	index, leader := s.choose(t)
	switch leader {
	case s.n.id:
		return s.here(ctx, t, index, b)
	case image.NoLeader:
		return wire.LeaderNotAvailable
	}
	return s.there(ctx, t, index, leader, b)
}

// choose picks a partition that has a leader, one that is led here if there is one.
func (s *auditSink) choose(t *image.Topic) (index, leader int32) {
	count := int32(len(t.Partitions))
	for i := range count {
		if t.Partitions[i].Leader == s.n.id {
			return i, s.n.id
		}
	}
	s.tries++
	index, leader = 0, image.NoLeader
	for i := range count {
		at := (s.n.id + s.tries + i) % count
		if p := t.Partitions[at]; p.Leader >= 0 {
			return at, p.Leader
		}
	}
	return index, leader
}

// here writes to a partition that this node leads.
func (s *auditSink) here(ctx context.Context, t *image.Topic, index int32, b record.Batch) error {
	rep, _, code := s.n.replicas.Find(t.Name, t.ID, index, true)
	if code != wire.None {
		return code
	}
	info, err := s.n.replicas.Append(rep, b, -1)
	if err != nil {
		return err
	}
	if s.n.replicas.Committed(rep, info, -1) {
		return nil
	}
	committed := make(chan struct{})
	spec := &replica.CommitSpec{Replica: rep, Offset: info.LastOffset + 1, Epoch: info.LeaderEpoch}
	s.n.replicas.AwaitCommit([]*replica.CommitSpec{spec}, auditCommit, func() { close(committed) })
	select {
	case <-committed:
	case <-ctx.Done():
		return ctx.Err()
	}
	if code := spec.Outcome(); code != wire.None && code != wire.NotEnoughReplicasAfterAppend {
		return code
	}
	return nil
}

// there writes to a partition that another broker leads.
func (s *auditSink) there(ctx context.Context, t *image.Topic, index, leader int32, b record.Batch) error {
	to, err := s.peer(leader)
	if err != nil {
		return err
	}
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = index, b
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.TopicID, topic.Partitions = t.Name, t.ID, []kmsg.ProduceRequestTopicPartition{p}
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Topics = -1, int32(auditCommit.Milliseconds()), []kmsg.ProduceRequestTopic{topic}
	resp, err := to.Do(ctx, req)
	if err != nil {
		s.hangUp()
		return err
	}
	answered := resp.(*kmsg.ProduceResponse)
	if len(answered.Topics) != 1 || len(answered.Topics[0].Partitions) != 1 {
		return fmt.Errorf("broker %d answers for %d topics: %w", leader, len(answered.Topics), wire.UnknownServerError)
	}
	if code := wire.Code(answered.Topics[0].Partitions[0].ErrorCode); code != wire.None && code != wire.NotEnoughReplicasAfterAppend {
		return fmt.Errorf("broker %d: %w", leader, code)
	}
	return nil
}

// peer is the way to a broker, at the address that the metadata has now.
func (s *auditSink) peer(broker int32) (*peer.Client, error) {
	cfg, err := s.n.peerConfig(broker)
	if err != nil {
		return nil, err
	}
	if s.to != nil && (s.toBroker != broker || s.to.Address() != cfg.Address) {
		s.hangUp()
	}
	if s.to == nil {
		cfg.ClientID, cfg.RequestTimeout = fmt.Sprintf("broker-%d-audit", s.n.id), 2*auditCommit
		s.to, s.toBroker = peer.New(cfg), broker
	}
	return s.to, nil
}

func (s *auditSink) hangUp() {
	if s.to != nil {
		s.to.Close()
		s.to = nil
	}
}

// create has the topic made.
func (s *auditSink) create(ctx context.Context) error {
	cfg := s.n.config.Load()
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = s.topic, int32(cfg.Int("weir.audit.topic.num.partitions")), int16(cfg.Int("weir.audit.topic.replication.factor"))
	for _, kv := range [][2]string{{"cleanup.policy", "delete"}, {"compression.type", "producer"}} {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = kv[0], &kv[1]
		t.Configs = append(t.Configs, c)
	}
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version, req.TimeoutMillis, req.Topics = 7, int32(auditCommit.Milliseconds()), []kmsg.CreateTopicsRequestTopic{t}
	resp, err := s.n.way.Handle(ctx, controller.RequestContext{}, req)
	if err != nil {
		return fmt.Errorf("create it: %w", err)
	}
	for _, made := range resp.(*kmsg.CreateTopicsResponse).Topics {
		if code := wire.Code(made.ErrorCode); code != wire.None && code != wire.TopicAlreadyExists {
			why := ""
			if made.ErrorMessage != nil {
				why = ": " + *made.ErrorMessage
			}
			return fmt.Errorf("create it with weir.audit.topic.num.partitions=%d and weir.audit.topic.replication.factor=%d: %w%s", t.NumPartitions, t.ReplicationFactor, code, why)
		}
	}
	return nil
}
