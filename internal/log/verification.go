package log

import (
	"fmt"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/wire"
)

// VerificationGuard stands for the time between the question whether a partition is in a producer's transaction and the
// append that follows the answer (KIP-890). A marker that is written in between takes it away, so that a batch cannot begin
// a transaction that nobody would ever end. The zero value guards nothing.
type VerificationGuard int64

// verification is a producer whose transaction is being asked for, or was, with nothing appended since.
type verification struct {
	guard     VerificationGuard
	epoch     int16
	lowestSeq int32 // of the batches that wait; what has a higher one must not come before them
	epochBump bool  // its client raises the epoch with each transaction
	sinceMs   int64
}

// StartVerification is asked before a transactional batch of a client is appended. It returns the zero guard if the
// producer's transaction has begun here, so that nobody has to be asked; else the guard to append with. A producer that is
// fenced already gets wire.InvalidProducerEpoch.
func (l *Log) StartVerification(producerID int64, epoch int16, firstSequence int32, epochBump bool) (VerificationGuard, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone != nil {
		return 0, l.gone
	}
	if err := l.loadProducers(); err != nil {
		return 0, err
	}
	if e := l.producers.get(producerID); e != nil {
		if epoch < e.epoch {
			return 0, fmt.Errorf("Epoch of producer %d is %d, which is smaller than the last seen epoch %d: %w",
				producerID, epoch, e.epoch, wire.InvalidProducerEpoch)
		}
		if e.txnFirst >= 0 && e.epoch == epoch {
			return 0, nil
		}
	}
	if l.verifications == nil {
		l.verifications = map[int64]verification{}
	}
	v, ok := l.verifications[producerID]
	switch {
	case !ok:
		v = verification{guard: VerificationGuard(l.env.guards.Add(1)), epoch: epoch, lowestSeq: firstSequence, epochBump: epochBump, sinceMs: l.env.nowMs()}
	case v.epoch < epoch:
		v.epoch, v.lowestSeq, v.epochBump = epoch, firstSequence, epochBump
	case v.epoch == epoch:
		v.lowestSeq = min(v.lowestSeq, firstSequence)
	}
	l.verifications[producerID] = v
	return v.guard, nil
}

// checkVerified refuses a client's or coordinator's transactional batch that would begin a transaction of which the
// transaction coordinator does not know.
func (l *Log) checkVerified(b record.Batch, opt AppendOptions) error {
	if !b.IsTransactional() || b.IsControl() || opt.Origin == OriginReplication {
		return nil
	}
	e := l.producers.get(b.ProducerID())
	if e != nil && e.txnFirst >= 0 && e.epoch == b.ProducerEpoch() {
		return nil
	}
	v, asked := l.verifications[b.ProducerID()]
	if l.env.verifyTxns.Load() && (!asked || opt.Guard == 0 || v.guard != opt.Guard) {
		return fmt.Errorf("Record was not part of an ongoing transaction: %w", wire.InvalidTxnState)
	}
	if !asked || opt.Origin != OriginClient {
		return nil
	}
	switch first := b.BaseSequence(); {
	case v.epochBump && first != 0 && (e == nil || e.count == 0):
		return fmt.Errorf("Invalid sequence number for producer %d at offset %d in partition %s: %d (incoming seq. number). Expected sequence 0 for a producer without state: %w",
			b.ProducerID(), l.end.Load(), l.tp, first, wire.OutOfOrderSequenceNumber)
	case first > v.lowestSeq:
		return fmt.Errorf("Out of order sequence number for producer %d at offset %d in partition %s: %d (incoming seq. number), %d (earliest seen sequence): %w",
			b.ProducerID(), l.end.Load(), l.tp, first, v.lowestSeq, wire.OutOfOrderSequenceNumber)
	}
	return nil
}

// settleVerifications forgets what was asked for producers whose transaction has begun or ended here. A client of transactions
// V2 may ask for its next transaction before the marker of the one before is there: that marker has the epoch of the next, while
// one that ends the next has a higher epoch. Only a marker under transaction.version 2 can be of the one before, or one of which
// nobody says.
func (l *Log) settleVerifications(events []txnEvent, batches []record.Batch, opt AppendOptions) {
	if len(l.verifications) == 0 {
		return
	}
	for _, ev := range events {
		if ev.last < 0 {
			delete(l.verifications, ev.producerID)
		}
	}
	raised := opt.Origin != OriginReplication && (opt.TxnVersion >= 2 || opt.TxnVersion == TxnVersionUnknown)
	for _, b := range batches {
		if !b.IsControl() {
			continue
		}
		v, asked := l.verifications[b.ProducerID()]
		before := b.ProducerEpoch() < v.epoch || raised && b.ProducerEpoch() == v.epoch
		if asked && !(v.epochBump && before) {
			delete(l.verifications, b.ProducerID())
		}
	}
}

// expireVerifications forgets what was asked and never followed by an append. The caller holds mu.
func (l *Log) expireVerifications(nowMs, expirationMs int64) {
	for id, v := range l.verifications {
		if nowMs-v.sinceMs >= expirationMs {
			delete(l.verifications, id)
		}
	}
}
