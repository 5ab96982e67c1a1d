package handler

import (
	"fmt"
	"strings"

	"github.com/weir-stream/weir/internal/coordinator/txn"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/replica"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// The versions of Produce from which on clients know of KIP-890.
const (
	produceAbortable = 11 // the error TRANSACTION_ABORTABLE
	produceAdds      = 12 // partitions are added to the transaction by writing to them
)

// checkTransactional looks at the batches that are part of a transaction, if there are any: their client needs a right to the
// transactional id, and they are of one producer.
func (b *Broker) checkTransactional(r *wire.Request) error {
	first, any := txn.Producer{}, false
	for ti := range r.Produce.Topics {
		for pi := range r.Produce.Topics[ti].Partitions {
			records := r.Produce.Topics[ti].Partitions[pi].Records
			if len(records) < record.HeaderSize || record.Batch(records).Magic() != record.CurrentMagic || !record.Batch(records).IsTransactional() {
				continue
			}
			batch := record.Batch(records)
			p := txn.Producer{ID: batch.ProducerID(), Epoch: batch.ProducerEpoch()}
			if any && p != first {
				return fmt.Errorf("Transactional records contained more than one producer ID: %w", wire.InvalidProducerIdMapping)
			}
			first, any = p, true
		}
	}
	id := r.Produce.TransactionalID
	if any && (id == nil || !b.allowed(r, authz.Write, authz.TransactionalID, *id)) {
		return wire.TransactionalIdAuthorizationFailed
	}
	return nil
}

// produceQuestion is a batch that waits for the transaction's coordinator (KIP-890).
type produceQuestion struct {
	ti, pi   int
	rep      *replica.Replica
	tp       log.TopicPartition
	producer txn.Producer
	guard    log.VerificationGuard
}

// asks reports whether the batch is not to be written now: it waits for the coordinator, or is refused.
func (p *pendingProduce) asks(ti, pi int, rep *replica.Replica, name string, batch record.Batch) bool {
	adds := p.r.Version >= produceAdds
	if !adds && !p.b.verifiesTransactions() {
		return false
	}
	guard, err := p.b.Replicas.StartVerification(rep, batch.ProducerID(), batch.ProducerEpoch(), batch.BaseSequence(), adds)
	if err != nil {
		p.fail(ti, pi, wire.CodeOf(err), "")
		p.hintOf(ti, pi, rep)
		return true
	}
	if guard == 0 {
		return false
	}
	p.questions = append(p.questions, produceQuestion{ti, pi, rep, log.TopicPartition{Topic: strings.Clone(name), Partition: rep.Index},
		txn.Producer{ID: batch.ProducerID(), Epoch: batch.ProducerEpoch()}, guard})
	return true
}

// verify asks the coordinator, and writes what it allows.
func (p *pendingProduce) verify() {
	parts := make([]log.TopicPartition, len(p.questions))
	for i := range p.questions {
		parts[i] = p.questions[i].tp
	}
	support := txn.SupportsNothing
	switch {
	case p.r.Version >= produceAdds:
		support = txn.SupportsAdding
	case p.r.Version >= produceAbortable:
		support = txn.SupportsAbortable
	}
	p.b.Verifier.Verify(strings.Clone(*p.r.Produce.TransactionalID), p.questions[0].producer, parts, support, func(codes []wire.Code) {
		for i, code := range codes {
			q := &p.questions[i]
			if code == wire.None {
				p.write(q.ti, q.pi, q.rep, q.guard)
				continue
			}
			code, text := unverified(code, support)
			p.fail(q.ti, q.pi, code, text)
		}
		p.finish()
	})
}

// unverified says why a batch may not be written. What passes by itself is told in the words of an error on which every
// producer sends again without looking for another leader.
func unverified(code wire.Code, s txn.Support) (wire.Code, string) {
	switch code {
	case wire.InvalidTxnState:
		return code, "Partition was not added to the transaction"
	case wire.ConcurrentTransactions:
		if s == txn.SupportsAdding {
			return code, ""
		}
	case wire.NetworkException, wire.CoordinatorLoadInProgress, wire.CoordinatorNotAvailable, wire.NotCoordinator:
	default:
		return code, ""
	}
	return wire.NotEnoughReplicas, "Unable to verify the partition has been added to the transaction. Underlying error: " + code.Name()
}
