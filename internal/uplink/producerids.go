package uplink

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/wire"
)

// ProducerIDs hands out producer ids from blocks that the controller gives to the broker (KIP-730). What is left of a
// block when the process ends is lost, which is meant: no id is ever given twice. Safe for concurrent use.
type ProducerIDs struct {
	b          *Broker
	lock       lifecycle.IOLock // held while a block is fetched
	next, last int64
}

// NewProducerIDs returns a source without a block; the first id asks for one.
func NewProducerIDs(b *Broker) *ProducerIDs {
	return &ProducerIDs{b: b, lock: lifecycle.NewIOLock()}
}

// Next returns an id that no producer of the cluster had before.
func (p *ProducerIDs) Next(ctx context.Context) (int64, error) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.next >= p.last {
		if err := p.allocate(ctx); err != nil {
			return -1, fmt.Errorf("allocate producer ids: %w", err)
		}
	}
	id := p.next
	p.next++
	return id, nil
}

func (p *ProducerIDs) allocate(ctx context.Context) error {
	req := kmsg.NewPtrAllocateProducerIDsRequest()
	req.BrokerID, req.BrokerEpoch = p.b.cfg.BrokerID, p.b.Epoch()
	resp, err := p.b.ask(ctx, req)
	if err != nil {
		return err
	}
	r := resp.(*kmsg.AllocateProducerIDsResponse)
	if code := wire.Code(r.ErrorCode); code != wire.None {
		return code
	}
	p.next, p.last = r.ProducerIDStart, r.ProducerIDStart+int64(r.ProducerIDLen)
	return nil
}
