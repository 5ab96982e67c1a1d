// Package coordrecord has the Go types of the records in the coordinators' topics: __consumer_offsets (classic,
// consumer, share and streams groups), __transaction_state and __share_group_state, generated from the tables of
// metarecord/schema. A key is its type number and its fields; a value leads with its version; a null value is a
// tombstone.
//
// It does not know what the records mean to a group or a transaction.
package coordrecord

//go:generate go run ../metarecord/gen -package coordrecord -out zz_records.go ../metarecord/schema/group_coordinator_records.tsv ../metarecord/schema/transaction_records.tsv ../metarecord/schema/share_coordinator_records.tsv

import (
	"errors"
	"fmt"

	"github.com/weir-stream/weir/internal/metarecord/message"
)

// ErrMalformed is wrapped by the error of a key or value that is not what its type and version say.
var ErrMalformed = message.ErrMalformed

// ErrUnsupported is wrapped by the error of a type or version that this build does not know. Such a record is kept
// in the log, not understood and not touched.
var ErrUnsupported = errors.New("unsupported coordinator record")

// Message is what every generated type can do: the keys and the values.
type Message interface {
	// RecordName is Kafka's name, e.g. OffsetCommitValue.
	RecordName() string
	// RecordType is the number in the key.
	RecordType() int16
	// MaxVersion is the highest version this build knows.
	MaxVersion() int16
	// Append writes the fields as version v; what v has no room for is left out.
	Append(dst []byte, v int16) []byte
	// Decode reads the fields of version v from the front of r.
	Decode(r *message.Reader, v int16)
	// AppendJSON writes the message as Kafka's tools print it.
	AppendJSON(dst []byte, v int16) []byte
}

// Key is a record's key.
type Key = Message

// AppendKey appends the key as it stands in the log: its type, then its fields in version 0.
func AppendKey(dst []byte, k Key) []byte {
	return k.Append(message.AppendInt16(dst, k.RecordType()), 0)
}

// AppendValue appends the value as it stands in the log: its version, then its fields.
func AppendValue(dst []byte, v Message, version int16) []byte {
	return v.Append(message.AppendInt16(dst, version), version)
}

// DecodeGroupKey reads a key of __consumer_offsets.
func DecodeGroupKey(key []byte) (Key, error) { return decodeKey(key, newGroupKey) }

// DecodeTransactionKey reads a key of __transaction_state.
func DecodeTransactionKey(key []byte) (Key, error) { return decodeKey(key, newTransactionKey) }

// DecodeShareKey reads a key of __share_group_state.
func DecodeShareKey(key []byte) (Key, error) { return decodeKey(key, newShareKey) }

// DecodeGroupValue reads the value of a record of __consumer_offsets whose key has that type, and tells its version.
func DecodeGroupValue(recordType int16, value []byte) (Message, int16, error) {
	return decodeValue(newGroupValue(recordType), recordType, value)
}

// DecodeTransactionValue reads the value of a record of __transaction_state.
func DecodeTransactionValue(recordType int16, value []byte) (Message, int16, error) {
	return decodeValue(newTransactionValue(recordType), recordType, value)
}

// DecodeShareValue reads the value of a record of __share_group_state.
func DecodeShareValue(recordType int16, value []byte) (Message, int16, error) {
	return decodeValue(newShareValue(recordType), recordType, value)
}

func decodeKey(key []byte, make func(int16) Key) (Key, error) {
	r := message.NewReader(key)
	t := r.Int16()
	if r.Err() != nil {
		return nil, fmt.Errorf("coordinator key: %w", r.Err())
	}
	k := make(t)
	if k == nil {
		return nil, fmt.Errorf("coordinator key type %d: %w", t, ErrUnsupported)
	}
	k.Decode(r, 0)
	if r.Err() != nil {
		return nil, fmt.Errorf("%s: %w", k.RecordName(), r.Err())
	}
	return k, nil
}

func decodeValue(m Message, recordType int16, value []byte) (Message, int16, error) {
	if m == nil {
		return nil, 0, fmt.Errorf("coordinator value type %d: %w", recordType, ErrUnsupported)
	}
	r := message.NewReader(value)
	version := r.Int16()
	if r.Err() != nil {
		return nil, 0, fmt.Errorf("%s: %w", m.RecordName(), r.Err())
	}
	if version < 0 || version > m.MaxVersion() {
		return nil, version, fmt.Errorf("%s version %d: %w", m.RecordName(), version, ErrUnsupported)
	}
	m.Decode(r, version)
	if r.Err() != nil {
		return nil, version, fmt.Errorf("%s version %d: %w", m.RecordName(), version, r.Err())
	}
	return m, version, nil
}
