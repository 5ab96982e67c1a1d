package record

import (
	"encoding/binary"
	"fmt"

	"github.com/weir-stream/weir/internal/wire"
)

// ControlType is the kind of a control record, which stands in its key after an int16 version.
type ControlType int16

// The control records that Kafka writes.
const (
	ControlUnknown        ControlType = -1
	ControlAbort          ControlType = 0
	ControlCommit         ControlType = 1
	ControlLeaderChange   ControlType = 2
	ControlSnapshotHeader ControlType = 3
	ControlSnapshotFooter ControlType = 4
	ControlKRaftVersion   ControlType = 5
	ControlKRaftVoters    ControlType = 6
)

var controlNames = [...]string{"ABORT", "COMMIT", "LEADER_CHANGE", "SNAPSHOT_HEADER", "SNAPSHOT_FOOTER",
	"KRAFT_VERSION", "KRAFT_VOTERS"}

// String is the name that Kafka's tools print.
func (c ControlType) String() string {
	if c >= 0 && int(c) < len(controlNames) {
		return controlNames[c]
	}
	return "UNKNOWN"
}

// ParseControlKey reads the key of a control record. Types that are not known are ControlUnknown without an error,
// since newer versions may add some.
func ParseControlKey(key []byte) (ControlType, error) {
	if len(key) < 4 || int16(binary.BigEndian.Uint16(key)) < 0 {
		return ControlUnknown, fmt.Errorf("control record key of %d bytes is not valid: %w", len(key), wire.InvalidRecord)
	}
	t := ControlType(binary.BigEndian.Uint16(key[2:]))
	if t < 0 || int(t) >= len(controlNames) {
		return ControlUnknown, nil
	}
	return t, nil
}

// AppendControl adds a control record at the next offset and marks the batch as one of control records. The value
// is the record's own message, for KRaft's kinds led by its int16 version.
func (w *Builder) AppendControl(timestamp int64, t ControlType, value []byte) {
	w.SetControl()
	key := [4]byte{2: byte(t >> 8), 3: byte(t)}
	w.Append(timestamp, key[:], value)
}

// EndTxnMarker is the value of a control record that ends a transaction.
type EndTxnMarker struct {
	Commit           bool
	CoordinatorEpoch int32
}

// AppendEndTxn adds the marker and makes the batch a transactional control batch of the producer.
func (w *Builder) AppendEndTxn(timestamp, producerID int64, epoch int16, m EndTxnMarker) {
	w.SetProducer(producerID, epoch, NoSequence)
	w.SetTransactional()
	t := ControlAbort
	if m.Commit {
		t = ControlCommit
	}
	var value [6]byte
	binary.BigEndian.PutUint32(value[2:], uint32(m.CoordinatorEpoch))
	w.AppendControl(timestamp, t, value[:])
}

// ParseEndTxn reads the record of a transactional control batch. ok is false, without an error, for control records
// of other kinds.
func ParseEndTxn(r *Record) (m EndTxnMarker, ok bool, err error) {
	t, err := ParseControlKey(r.Key)
	if err != nil || t != ControlAbort && t != ControlCommit {
		return m, false, err
	}
	if len(r.Value) < 6 || int16(binary.BigEndian.Uint16(r.Value)) < 0 {
		return m, false, fmt.Errorf("end transaction marker of %d bytes is not valid: %w", len(r.Value), wire.InvalidRecord)
	}
	m.Commit = t == ControlCommit
	m.CoordinatorEpoch = int32(binary.BigEndian.Uint32(r.Value[2:]))
	return m, true, nil
}
