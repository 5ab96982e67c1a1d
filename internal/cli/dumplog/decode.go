package dumplog

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/metarecord/message"
	"github.com/weir-stream/weir/internal/record"
)

// Decoder is how the records of a log are printed.
type Decoder int

// The decoders. Plain prints keys and values one by one as KeyFormat and ValueFormat say; the others print the
// records of Kafka's internal topics, mostly as JSON.
const (
	Plain Decoder = iota
	GroupOffsets
	TransactionLog
	ClusterMetadata
	RemoteLogMetadata
	ShareGroupState
)

// Format is how a plain key or value is printed.
type Format int

// The formats.
const (
	Text    Format = iota // UTF-8
	Integer               // 4 bytes
	Long                  // 8 bytes
	Hex
)

// printed is a key or value as text. ok is false if nothing is to be printed.
type printed struct {
	text string
	ok   bool
}

func some(s string) printed { return printed{s, true} }

// decode prints a record's key and value.
func (d *dumper) decode(e *entry) (key, payload printed, err error) {
	if e.old != nil && e.old.broken != nil {
		if d.Decoder == Plain {
			return key, payload, e.old.broken
		}
		return printed{}, some(fmt.Sprintf("Error at offset %d, skipping. %v", e.offset, e.old.broken)), nil
	}
	switch d.Decoder {
	case GroupOffsets:
		return groupRecords.print(e)
	case TransactionLog:
		return transactionRecords.print(e)
	case ShareGroupState:
		return shareRecords.print(e)
	case ClusterMetadata:
		return printed{}, some(metadataRecord(e)), nil
	case RemoteLogMetadata:
		return printed{}, some(remoteLogRecord(e)), nil
	}
	if key, err = d.KeyFormat.print(e.key); err == nil {
		payload, err = d.ValueFormat.print(e.value)
	}
	return key, payload, err
}

func (f Format) print(p []byte) (printed, error) {
	tooShort := &JavaError{"java.nio.BufferUnderflowException", ""}
	switch {
	case p == nil:
		return printed{}, nil
	case f == Integer && len(p) >= 4:
		return some(strconv.Itoa(int(be32(p)))), nil
	case f == Long && len(p) >= 8:
		return some(strconv.FormatInt(be64(p), 10)), nil
	case f == Integer || f == Long:
		return printed{}, tooShort
	case f == Hex:
		return some(fmt.Sprintf("%x", p)), nil
	}
	return some(javaText(p)), nil
}

// metadataRecord is a record of __cluster_metadata as JSON, or what is wrong with it.
func metadataRecord(e *entry) string {
	text, err := metadataJSON(e.value)
	if err != "" {
		return fmt.Sprintf("Error at %d, skipping. %s", e.offset, err)
	}
	return text
}

func metadataJSON(value []byte) (json, problem string) {
	recordType, version, r, problem := openFrame(value)
	if problem != "" {
		return "", problem
	}
	m := metarecord.New(recordType)
	if m == nil {
		return "", unknownType(recordType)
	}
	m.Decode(r, version)
	if problem := closeFrame(recordType, r); problem != "" {
		return "", problem
	}
	dst := append([]byte(`{"type":"`), upperSnake(m.RecordName())...)
	dst = appendInt(dst, `","version":`, int64(version))
	return string(append(m.AppendJSON(append(dst, `,"data":`...), version), '}')), ""
}

// openFrame reads what stands before the message in records of metadata, of the cluster and of remote segments.
func openFrame(value []byte) (recordType, version int16, r *message.Reader, problem string) {
	r = message.NewReader(value)
	var frame [3]uint32
	for i, name := range []string{"frame version", "type", "version"} {
		frame[i] = r.Uvarint()
		switch {
		case r.Err() != nil:
			return 0, 0, nil, "Error while reading " + name
		case frame[i] > math.MaxInt16:
			return 0, 0, nil, fmt.Sprintf("Value for %s was too large.", name)
		case i == 0 && frame[i] == 0:
			return 0, 0, nil, "Could not deserialize metadata record with frame version 0. Note that upgrades from the preview release " +
				"of KRaft in 2.8 to newer versions are not supported."
		case i == 0 && frame[i] != 1:
			return 0, 0, nil, fmt.Sprintf("Could not deserialize metadata record due to unknown frame version %d(only frame version 1 "+
				"is supported)", frame[i])
		}
	}
	return int16(frame[1]), int16(frame[2]), r, ""
}

func unknownType(recordType int16) string {
	return fmt.Sprintf("org.apache.kafka.common.errors.UnsupportedVersionException: Unknown metadata id %d", recordType)
}

// closeFrame says what was wrong with a message that was read, or with what follows it.
func closeFrame(recordType int16, r *message.Reader) string {
	switch {
	case r.Err() != nil:
		return fmt.Sprintf("Failed to deserialize record with type %d", recordType)
	case len(r.Remaining()) > 0:
		return fmt.Sprintf("Found %d byte(s) of garbage after %d", len(r.Remaining()), recordType)
	}
	return ""
}

// upperSnake is a record's name as Java's enumerations spell it: TopicRecord becomes TOPIC_RECORD.
func upperSnake(name string) string {
	var b strings.Builder
	for i, r := range name {
		if r >= 'A' && r <= 'Z' && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

// appendControl appends what a control record says.
func appendControl(p []byte, e *entry) ([]byte, error) {
	switch {
	case e.key == nil:
		return p, &JavaError{"java.lang.NullPointerException", `Cannot invoke "java.nio.ByteBuffer.remaining()" because "key" is null`}
	case len(e.key) < 4:
		return p, invalidRecord("Invalid value size found for end control record key. Must have at least 4 bytes, but found only %d", len(e.key))
	case be16(e.key) < 0:
		return p, invalidRecord("Invalid version found for control record: %d. May indicate data corruption", be16(e.key))
	}
	kind := record.ControlType(be16(e.key[2:]))
	if kind == record.ControlAbort || kind == record.ControlCommit {
		return appendEndTxn(p, e, kind)
	}
	title, m := controlMessage(kind)
	if m == nil {
		return fmt.Appendf(p, " controlType: UNKNOWN(%d)", be16(e.key[2:])), nil
	}
	// Versions that are not known are read as the first one, as Kafka does.
	version, written := int16(0), int16(0)
	if len(e.value) >= 2 {
		written = be16(e.value)
	}
	if written > 0 && written <= m.MaxVersion() {
		version = written
	}
	r := message.NewReader(e.value)
	if m.Decode(r, version); r.Err() != nil {
		return p, &JavaError{"java.lang.RuntimeException", r.Err().Error()}
	}
	return m.AppendJSON(append(p, title...), written), nil
}

// controlMessage is an empty message for a control record of a metadata log, with the words that Kafka's tool puts
// before it; nil for kinds that are not known.
func controlMessage(kind record.ControlType) (title string, m metarecord.Message) {
	switch kind {
	case record.ControlLeaderChange:
		return " LeaderChange: ", new(metarecord.LeaderChangeMessage)
	case record.ControlSnapshotHeader:
		return " SnapshotHeader ", new(metarecord.SnapshotHeaderRecord)
	case record.ControlSnapshotFooter:
		return " SnapshotFooter ", new(metarecord.SnapshotFooterRecord)
	case record.ControlKRaftVersion:
		return " KRaftVersion ", new(metarecord.KRaftVersionRecord)
	case record.ControlKRaftVoters:
		return " KRaftVoters ", new(metarecord.VotersRecord)
	}
	return "", nil
}

func appendEndTxn(p []byte, e *entry, kind record.ControlType) ([]byte, error) {
	switch {
	case e.value == nil:
		return p, &JavaError{"java.lang.NullPointerException", `Cannot invoke "java.nio.ByteBuffer.remaining()" because "value" is null`}
	case len(e.value) < 6:
		return p, invalidRecord("Invalid value size found for end transaction marker. Must have at least 6 bytes, but found only %d", len(e.value))
	case be16(e.value) < 0:
		return p, invalidRecord("Invalid version found for end transaction marker: %d. May indicate data corruption", be16(e.value))
	}
	return appendInt(append(append(p, " endTxnMarker: "...), kind.String()...), " coordinatorEpoch: ", int64(be32(e.value[2:]))), nil
}
