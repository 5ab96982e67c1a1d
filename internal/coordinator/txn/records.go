package txn

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/coordrecord"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/wire"
)

func recordKey(id string) []byte {
	return coordrecord.AppendKey(nil, &coordrecord.TransactionLogKey{TransactionalID: id})
}

// recordValue is the value as Apache Kafka writes it: version 0 under transaction.version 0, else 1, with tagged fields.
func recordValue(v *values, transactionVersion int8) []byte {
	r := coordrecord.NewTransactionLogValue()
	r.ProducerID, r.PreviousProducerID, r.NextProducerID = v.producerID, v.prevProducerID, v.nextProducerID
	r.ProducerEpoch, r.TransactionTimeoutMs, r.TransactionStatus = v.epoch, v.timeoutMs, int8(v.state)
	r.TransactionLastUpdateTimestampMs, r.TransactionStartTimestampMs = v.updateMs, v.startMs
	r.ClientTransactionVersion = int16(v.version)
	if v.state != stateEmpty {
		r.TransactionPartitions = []coordrecord.TransactionLogValuePartitionsSchema{}
		for _, p := range slices.SortedFunc(maps.Keys(v.partitions), compare) {
			n := len(r.TransactionPartitions)
			if n == 0 || r.TransactionPartitions[n-1].Topic != p.Topic {
				r.TransactionPartitions = append(r.TransactionPartitions, coordrecord.TransactionLogValuePartitionsSchema{Topic: p.Topic})
				n++
			}
			t := &r.TransactionPartitions[n-1]
			t.PartitionIDs = append(t.PartitionIDs, p.Partition)
		}
	}
	version := int16(0)
	if transactionVersion > 0 {
		version = 1
	}
	return coordrecord.AppendValue(nil, r, version)
}

func compare(a, b log.TopicPartition) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	return int(a.Partition) - int(b.Partition)
}

// Replay implements coordinator.Machine.
func (m *machine) Replay(r coordinator.Replayed) error {
	key, err := coordrecord.DecodeTransactionKey(r.Key)
	if errors.Is(err, coordrecord.ErrUnsupported) {
		return nil // of a newer Kafka: it stays in the log
	}
	if err != nil {
		return err
	}
	k, ok := key.(*coordrecord.TransactionLogKey)
	if !ok {
		return nil
	}
	if r.Value == nil {
		delete(m.txns, k.TransactionalID)
		return nil
	}
	val, _, err := coordrecord.DecodeTransactionValue(0, r.Value)
	if err != nil {
		return fmt.Errorf("transactional id %q: %w", k.TransactionalID, err)
	}
	v, ok := val.(*coordrecord.TransactionLogValue)
	if !ok {
		return fmt.Errorf("transactional id %q: value is a %s: %w", k.TransactionalID, val.RecordName(), wire.CorruptMessage)
	}
	if state(v.TransactionStatus) == stateDead { // a name for what a tombstone says
		delete(m.txns, k.TransactionalID)
		return nil
	}
	if v.TransactionStatus < int8(stateEmpty) || v.TransactionStatus > int8(stateCompleteAbort) {
		return fmt.Errorf("transactional id %q: state %d: %w", k.TransactionalID, v.TransactionStatus, wire.CorruptMessage)
	}
	out := values{
		producerID: v.ProducerID, prevProducerID: v.PreviousProducerID, nextProducerID: v.NextProducerID, epoch: v.ProducerEpoch,
		lastEpoch: noProducerEpoch, timeoutMs: v.TransactionTimeoutMs, state: state(v.TransactionStatus),
		startMs: v.TransactionStartTimestampMs, updateMs: v.TransactionLastUpdateTimestampMs, version: int8(v.ClientTransactionVersion),
	}
	for _, t := range v.TransactionPartitions {
		if out.state == stateEmpty {
			break // it has none, whatever is written
		}
		for _, p := range t.PartitionIDs {
			if out.partitions == nil {
				out.partitions = partitionSet{}
			}
			out.partitions[log.TopicPartition{Topic: t.Topic, Partition: p}] = struct{}{}
		}
	}
	m.txns[k.TransactionalID] = newTransaction(k.TransactionalID, out)
	return nil
}

// ReplayMarker implements coordinator.Machine: nobody writes transactions into this topic.
func (m *machine) ReplayMarker(int64, bool) error { return nil }
