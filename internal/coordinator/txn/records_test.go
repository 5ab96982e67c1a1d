package txn

import (
	"encoding/hex"
	"maps"
	"testing"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/wire"
)

func setOf(parts ...log.TopicPartition) partitionSet {
	set := partitionSet{}
	for _, tp := range parts {
		set[tp] = struct{}{}
	}
	return set
}

// kafkaRecord is a record as Apache Kafka 4.3.1's TransactionLog.valueToBytes makes it under a transaction.version.
type kafkaRecord struct {
	name    string
	version int8
	v       values
	hex     string
}

const (
	startedMs = 1700000000000
	updatedMs = 1700000000123
)

var kafkaRecords = []kafkaRecord{
	{"Empty, version 0", 0, values{producerID: 4001, prevProducerID: -1, nextProducerID: -1, timeoutMs: 60000, state: stateEmpty, startMs: -1, updateMs: updatedMs},
		"00000000000000000fa100000000ea6000ffffffff0000018bcfe5687bffffffffffffffff"},
	{"Empty", 1, values{producerID: 4001, prevProducerID: -1, nextProducerID: -1, timeoutMs: 60000, state: stateEmpty, startMs: -1, updateMs: updatedMs},
		"00010000000000000fa100000000ea6000000000018bcfe5687bffffffffffffffff00"},
	{"Ongoing, version 0", 0, values{producerID: 4001, prevProducerID: 4001, nextProducerID: -1, epoch: 3, timeoutMs: 60000, state: stateOngoing, startMs: startedMs, updateMs: updatedMs,
		partitions: setOf(tps("orders", 0, 2)...)},
		"00000000000000000fa100030000ea60010000000100066f72646572730000000200000000000000020000018bcfe5687b0000018bcfe56800"},
	{"Ongoing", 2, values{producerID: 4001, prevProducerID: 4001, nextProducerID: -1, epoch: 3, timeoutMs: 60000, state: stateOngoing, startMs: startedMs, updateMs: updatedMs, version: 2,
		partitions: setOf(tps("orders", 2)...)},
		"00010000000000000fa100030000ea600102076f72646572730200000002000000018bcfe5687b0000018bcfe568000200080000000000000fa102020002"},
	{"Ongoing of a client before transactions V2", 2, values{producerID: 4001, prevProducerID: 4001, nextProducerID: -1, epoch: 3, timeoutMs: 60000, state: stateOngoing, startMs: startedMs,
		updateMs: updatedMs, partitions: setOf(tps("orders", 0, 2)...)},
		"00010000000000000fa100030000ea600102076f7264657273030000000000000002000000018bcfe5687b0000018bcfe568000100080000000000000fa1"},
	{"PrepareCommit", 2, values{producerID: 4001, prevProducerID: 4001, nextProducerID: -1, epoch: 4, timeoutMs: 60000, state: statePrepareCommit, startMs: startedMs, updateMs: updatedMs, version: 2,
		partitions: setOf(tps("__consumer_offsets", 49)...)},
		"00010000000000000fa100040000ea600202135f5f636f6e73756d65725f6f6666736574730200000031000000018bcfe5687b0000018bcfe568000200080000000000000fa102020002"},
	{"PrepareAbort with the next producer", 2, values{producerID: 4001, prevProducerID: 4001, nextProducerID: 5000, epoch: 32767, timeoutMs: 60000, state: statePrepareAbort, startMs: startedMs,
		updateMs: updatedMs, version: 2, partitions: setOf(tps("orders", 1)...)},
		"00010000000000000fa17fff0000ea600302076f72646572730200000001000000018bcfe5687b0000018bcfe568000300080000000000000fa10108000000000000138802020002"},
	{"PrepareAbort without partitions", 2, values{producerID: 4001, prevProducerID: 4001, nextProducerID: -1, epoch: 5, timeoutMs: 60000, state: statePrepareAbort, startMs: startedMs,
		updateMs: updatedMs, version: 2},
		"00010000000000000fa100050000ea6003010000018bcfe5687b0000018bcfe568000200080000000000000fa102020002"},
	{"CompleteCommit", 2, values{producerID: 4001, prevProducerID: 4001, nextProducerID: -1, epoch: 4, timeoutMs: 60000, state: stateCompleteCommit, startMs: startedMs, updateMs: updatedMs, version: 2},
		"00010000000000000fa100040000ea6004010000018bcfe5687b0000018bcfe568000200080000000000000fa102020002"},
	{"CompleteAbort of the next producer", 2, values{producerID: 5000, prevProducerID: 4001, nextProducerID: -1, timeoutMs: 60000, state: stateCompleteAbort, startMs: startedMs, updateMs: updatedMs, version: 2},
		"0001000000000000138800000000ea6005010000018bcfe5687b0000018bcfe568000200080000000000000fa102020002"},
}

// kafkaKey is the key of "payments-7".
const kafkaKey = "0000000a7061796d656e74732d37"

func bytesOf(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// kafkaValue is the record of that name.
func kafkaValue(t *testing.T, name string) []byte {
	t.Helper()
	for _, r := range kafkaRecords {
		if r.name == name {
			return bytesOf(t, r.hex)
		}
	}
	t.Fatalf("no record %q", name)
	return nil
}

func TestRecordsAreThoseOfApacheKafka(t *testing.T) {
	if got := hex.EncodeToString(recordKey("payments-7")); got != kafkaKey {
		t.Errorf("key %s", got)
	}
	for _, c := range kafkaRecords {
		t.Run(c.name, func(t *testing.T) {
			if got := hex.EncodeToString(recordValue(&c.v, c.version)); got != c.hex {
				t.Errorf("written\n%s, Apache Kafka writes\n%s", got, c.hex)
			}
			m := newMachine(nil, nil)
			if err := m.Replay(coordinator.Replayed{Key: bytesOf(t, kafkaKey), Value: bytesOf(t, c.hex)}); err != nil {
				t.Fatal(err)
			}
			got, want := m.txns["payments-7"].v, c.v
			want.lastEpoch = noProducerEpoch
			if want.version == 0 && c.version == 0 {
				want.prevProducerID = -1 // not in version 0
			}
			if !maps.Equal(got.partitions, want.partitions) {
				t.Errorf("partitions %v", got.partitions)
			}
			got.partitions, want.partitions = nil, nil
			if !equal(got, want) {
				t.Errorf("read as %+v", got)
			}
		})
	}
}

// equal compares values without partitions.
func equal(a, b values) bool {
	return a.producerID == b.producerID && a.prevProducerID == b.prevProducerID && a.nextProducerID == b.nextProducerID && a.epoch == b.epoch && a.lastEpoch == b.lastEpoch &&
		a.timeoutMs == b.timeoutMs && a.state == b.state && a.startMs == b.startMs && a.updateMs == b.updateMs && a.version == b.version
}

func TestOtherRecordsOfTheLog(t *testing.T) {
	m := newMachine(nil, nil)
	replay := func(key, value []byte) error { return m.Replay(coordinator.Replayed{Key: key, Value: value}) }
	key := bytesOf(t, kafkaKey)
	status := func(s byte, name string) []byte {
		v := kafkaValue(t, name)
		v[16] = s
		return v
	}
	if err := replay(key, kafkaValue(t, "CompleteCommit")); err != nil || len(m.txns) != 1 {
		t.Fatal(err, m.txns)
	}
	if err := replay([]byte{0, 9, 0, 0}, []byte{1}); err != nil || len(m.txns) != 1 {
		t.Errorf("a key of a newer Kafka: %v", err)
	}
	if err := replay(key, nil); err != nil || len(m.txns) != 0 {
		t.Errorf("a tombstone: %v, %v", err, m.txns)
	}
	if err := replay(key, nil); err != nil {
		t.Errorf("another tombstone: %v", err)
	}
	if err := replay(key, kafkaValue(t, "CompleteCommit")); err != nil {
		t.Fatal(err)
	}
	if err := replay(key, status(byte(stateDead), "CompleteCommit")); err != nil || len(m.txns) != 0 {
		t.Errorf("a dead id: %v, %v", err, m.txns)
	}
	if err := replay(key, status(byte(stateEmpty), "Ongoing")); err != nil || len(m.txns["payments-7"].v.partitions) != 0 {
		t.Errorf("an id at rest has no partitions: %v", err)
	}
	for _, bad := range [][]byte{status(7, "CompleteCommit"), status(255, "CompleteCommit"), {0}, {0, 1, 2}, {0, 9, 1}} {
		if err := replay(key, bad); wire.CodeOf(err) == wire.None {
			t.Errorf("%x is taken", bad)
		}
	}
}
