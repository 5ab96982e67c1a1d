// Package metarecord has the Go types of KRaft's metadata records and of the control records of a metadata log,
// generated from the tables under schema/, and the frame that a metadata record has inside a record batch.
//
// It does not know what a record does to a cluster (image) nor how batches are made or stored (record, quorum).
package metarecord

//go:generate go run ./gen -package metarecord -out zz_records.go schema/metadata_records.tsv schema/control_records.tsv

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/weir-stream/weir/internal/metarecord/message"
	"github.com/weir-stream/weir/internal/record"
)

// ErrMalformed is wrapped by every decoding error of this package.
var ErrMalformed = message.ErrMalformed

// ErrUnsupported is wrapped by the error of a record whose type or version this build does not know. Such a record
// is still returned, as an *Unknown.
var ErrUnsupported = errors.New("unsupported record")

// Message is what every generated type can do.
type Message interface {
	// RecordName is Kafka's name, e.g. TopicRecord.
	RecordName() string
	// MaxVersion is the highest version this build knows.
	MaxVersion() int16
	// Append writes the message as version v; what v has no room for is left out.
	Append(dst []byte, v int16) []byte
	// Decode reads version v from the front of r.
	Decode(r *message.Reader, v int16)
	// AppendJSON writes the message as Kafka's tools print it.
	AppendJSON(dst []byte, v int16) []byte
}

// Record is a metadata record: a message with a record type.
type Record interface {
	Message
	// RecordType is the type's number in the frame.
	RecordType() int16
}

// Versioned is a record with the version in which it stands, or is to stand, in the log.
type Versioned struct {
	Record  Record
	Version int16
}

// At pairs a record with a version.
func At(r Record, version int16) Versioned { return Versioned{Record: r, Version: version} }

// V0 pairs a record with version 0.
func V0(r Record) Versioned { return Versioned{Record: r} }

// AppendFrame appends the record as the value of a log record: frame version 1, type, version, message.
func (v Versioned) AppendFrame(dst []byte) []byte {
	if u, ok := v.Record.(*Unknown); ok {
		return append(dst, u.Frame...)
	}
	dst = append(dst, frameVersion)
	dst = binary.AppendUvarint(dst, uint64(uint16(v.Record.RecordType())))
	dst = binary.AppendUvarint(dst, uint64(uint16(v.Version)))
	return v.Record.Append(dst, v.Version)
}

// String is the record as Kafka's tools print it.
func (v Versioned) String() string {
	return fmt.Sprintf("%s(%s) at version %d", v.Record.RecordName(), v.Record.AppendJSON(nil, v.Version), v.Version)
}

const frameVersion = 1

// Unknown is a record of a type or version that this build does not know, kept as it came.
type Unknown struct {
	ID      int16
	Version int16
	Frame   []byte // the whole value, frame included
}

// RecordType implements Record.
func (u *Unknown) RecordType() int16 { return u.ID }

// RecordName implements Record.
func (u *Unknown) RecordName() string { return fmt.Sprintf("UnknownRecord(type %d)", u.ID) }

// MaxVersion implements Record.
func (u *Unknown) MaxVersion() int16 { return u.Version }

// Append implements Record with the bytes after the frame.
func (u *Unknown) Append(dst []byte, _ int16) []byte {
	r := message.NewReader(u.Frame)
	r.Uvarint()
	r.Uvarint()
	r.Uvarint()
	return append(dst, r.Remaining()...)
}

// Decode implements Record; an Unknown is made by DecodeFrame only.
func (u *Unknown) Decode(r *message.Reader, _ int16) { r.Fail("an unknown record cannot be decoded") }

// AppendJSON implements Record.
func (u *Unknown) AppendJSON(dst []byte, _ int16) []byte { return append(dst, '{', '}') }

// DecodeFrame reads the value of a log record. A type or version that is not known gives an *Unknown together with
// an error that wraps ErrUnsupported; anything else that is wrong gives ErrMalformed. The value is not kept,
// except that an *Unknown copies it.
func DecodeFrame(value []byte) (Versioned, error) {
	r := message.NewReader(value)
	frame, id, version := r.Uvarint(), r.Uvarint(), r.Uvarint()
	if r.Err() != nil {
		return Versioned{}, fmt.Errorf("metadata record: %w", r.Err())
	}
	if frame != frameVersion {
		return Versioned{}, fmt.Errorf("metadata record: %w: frame version %d", ErrMalformed, frame)
	}
	if id > 0x7fff || version > 0x7fff {
		return Versioned{}, fmt.Errorf("metadata record: %w: type %d version %d", ErrMalformed, id, version)
	}
	rec := New(int16(id))
	if rec == nil || int16(version) > rec.MaxVersion() {
		u := &Unknown{ID: int16(id), Version: int16(version), Frame: append([]byte{}, value...)}
		return At(u, u.Version), fmt.Errorf("metadata record type %d version %d: %w", id, version, ErrUnsupported)
	}
	rec.Decode(r, int16(version))
	if r.Err() == nil && len(r.Remaining()) != 0 {
		r.Fail(fmt.Sprintf("%d bytes after the record", len(r.Remaining())))
	}
	if r.Err() != nil {
		return Versioned{}, fmt.Errorf("%s version %d: %w", rec.RecordName(), version, r.Err())
	}
	return At(rec, int16(version)), nil
}

// DecodeControl reads the value of a control record of a metadata log. The message leads with its own version.
func DecodeControl(t record.ControlType, value []byte) (Message, error) {
	var m Message
	switch t {
	case record.ControlLeaderChange:
		m = new(LeaderChangeMessage)
	case record.ControlSnapshotHeader:
		m = new(SnapshotHeaderRecord)
	case record.ControlSnapshotFooter:
		m = new(SnapshotFooterRecord)
	case record.ControlKRaftVersion:
		m = new(KRaftVersionRecord)
	case record.ControlKRaftVoters:
		m = new(VotersRecord)
	default:
		return nil, fmt.Errorf("control record type %d: %w", t, ErrUnsupported)
	}
	version := message.NewReader(value).Int16()
	if version < 0 || version > m.MaxVersion() {
		return nil, fmt.Errorf("%s version %d: %w", m.RecordName(), version, ErrUnsupported)
	}
	r := message.NewReader(value)
	m.Decode(r, version)
	if r.Err() != nil {
		return nil, fmt.Errorf("%s: %w", m.RecordName(), r.Err())
	}
	return m, nil
}

// FormatUUID is Kafka's text form of an id.
func FormatUUID(id [16]byte) string { return message.UUIDString(id) }

// ParseUUID reads Kafka's text form of an id.
func ParseUUID(s string) ([16]byte, error) { return message.ParseUUID(s) }
