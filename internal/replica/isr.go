package replica

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/partition"
	"github.com/weir-stream/weir/internal/wire"
)

// How long a request that nobody answered waits before it is sent again.
const (
	alterBackoff    = 50 * time.Millisecond
	maxAlterBackoff = time.Second
)

// ISRChanger asks the controller for changes of the ISR; it fills in which broker asks. *uplink.Broker is one.
type ISRChanger interface {
	AlterPartition(ctx context.Context, req *kmsg.AlterPartitionRequest) (*kmsg.AlterPartitionResponse, error)
}

// isrSender sends the proposals of all partitions: one request at a time, with all that came while the last one was under
// way. A proposal is sent until its outcome is known or the metadata has overtaken it.
type isrSender struct {
	m    *Manager
	wake chan struct{}

	mu      sync.Mutex
	waiting map[*Replica]*partition.Proposal
}

func newISRSender(m *Manager) *isrSender {
	return &isrSender{m: m, wake: make(chan struct{}, 1), waiting: map[*Replica]*partition.Proposal{}}
}

// propose queues a proposal. It never waits.
func (s *isrSender) propose(r *Replica, p *partition.Proposal) {
	s.mu.Lock()
	s.waiting[r] = p
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run sends what is queued until the context ends.
func (s *isrSender) run(ctx context.Context) {
	failures := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		for {
			batch := s.take()
			if len(batch) == 0 {
				failures = 0
				break
			}
			if s.send(ctx, batch) {
				failures = 0
				continue
			}
			failures++
			if !pause(ctx, min(alterBackoff<<min(failures-1, 5), maxAlterBackoff)) {
				return
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// maxAltered is how many partitions one request is about at most: they are decided at once, and all others wait.
const maxAltered = 10000

// take returns proposals that still stand, none if there are none.
func (s *isrSender) take() map[*Replica]*partition.Proposal {
	for {
		s.mu.Lock()
		batch := s.waiting
		s.waiting = map[*Replica]*partition.Proposal{}
		if len(batch) > maxAltered {
			s.waiting, batch = batch, make(map[*Replica]*partition.Proposal, maxAltered)
			for r, p := range s.waiting {
				if len(batch) == maxAltered {
					break
				}
				batch[r] = p
				delete(s.waiting, r)
			}
		}
		left := len(s.waiting)
		s.mu.Unlock()
		for r, p := range batch {
			if r.pending() != p {
				delete(batch, r)
			}
		}
		if len(batch) > 0 || left == 0 {
			return batch
		}
	}
}

func (r *Replica) pending() *partition.Proposal {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leader == nil {
		return nil
	}
	return r.leader.Pending()
}

type partitionKey struct {
	topic wire.TopicID
	index int32
}

// send makes one request of a batch and hands out the answers. It reports whether all is settled; what is not was queued
// again.
func (s *isrSender) send(ctx context.Context, batch map[*Replica]*partition.Proposal) bool {
	resp, err := s.m.changer.AlterPartition(ctx, alterRequest(batch))
	if err == nil && resp.ErrorCode != 0 {
		err = wire.Code(resp.ErrorCode)
	}
	verdicts := map[partitionKey]partition.Verdict{}
	if err != nil {
		s.m.logger.Debug("the controller did not answer a change of in-sync replicas", "partitions", len(batch), "err", err)
	} else {
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				v := partition.Verdict{Leader: p.LeaderID, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch, ISR: p.ISR}
				if p.ErrorCode != 0 {
					v.Err = wire.Code(p.ErrorCode)
				}
				verdicts[partitionKey{t.TopidID, p.Partition}] = v
			}
		}
	}
	settled := true
	for r, p := range batch {
		v, ok := verdicts[partitionKey{r.TopicID, r.Index}]
		if !ok {
			v.Err = errNoVerdict
		}
		if s.m.decide(r, p, v) {
			settled = false
			s.propose(r, p)
		}
	}
	return settled
}

var errNoVerdict = errors.New("the controller gave no answer")

func alterRequest(batch map[*Replica]*partition.Proposal) *kmsg.AlterPartitionRequest {
	req := kmsg.NewPtrAlterPartitionRequest()
	req.Version = 3
	at := map[wire.TopicID]int{}
	for r, p := range batch {
		i, ok := at[r.TopicID]
		if !ok {
			i = len(req.Topics)
			at[r.TopicID] = i
			t := kmsg.NewAlterPartitionRequestTopic()
			t.TopicID = r.TopicID
			req.Topics = append(req.Topics, t)
		}
		in := kmsg.NewAlterPartitionRequestTopicPartition()
		in.Partition, in.LeaderEpoch, in.PartitionEpoch = r.Index, p.LeaderEpoch, p.PartitionEpoch
		for _, m := range p.ISR {
			e := kmsg.NewAlterPartitionRequestTopicPartitionNewEpochISR()
			e.BrokerID, e.BrokerEpoch = m.ID, m.BrokerEpoch
			in.NewEpochISR = append(in.NewEpochISR, e)
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, in)
	}
	return req
}
