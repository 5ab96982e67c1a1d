package dumplog

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"github.com/weir-stream/weir/internal/coordrecord"
	"github.com/weir-stream/weir/internal/metarecord/message"
)

// coordinatorTopic reads the records of a coordinator's topic.
type coordinatorTopic struct {
	key   func([]byte) (coordrecord.Key, error)
	value func(recordType int16, value []byte) (coordrecord.Message, int16, error)
}

var (
	groupRecords       = coordinatorTopic{coordrecord.DecodeGroupKey, coordrecord.DecodeGroupValue}
	transactionRecords = coordinatorTopic{coordrecord.DecodeTransactionKey, coordrecord.DecodeTransactionValue}
	shareRecords       = coordinatorTopic{coordrecord.DecodeShareKey, coordrecord.DecodeShareValue}
)

// print is a record as JSON, or what is wrong with it. Only a record without a key is an error.
func (t coordinatorTopic) print(e *entry) (key, payload printed, err error) {
	if e.key == nil {
		return key, payload, &JavaError{"java.lang.RuntimeException",
			fmt.Sprintf("Failed to decode message at offset %d using the specified decoder (message had a missing key)", e.offset)}
	}
	broken := func(format string, args ...any) (printed, printed, error) {
		return some(fmt.Sprintf("Error at offset %d, skipping. ", e.offset) + fmt.Sprintf(format, args...)), printed{}, nil
	}
	if len(e.key) < 2 {
		return broken("Could not read version from key's buffer.")
	}
	k, err := t.key(e.key)
	recordType := be16(e.key)
	switch {
	case errors.Is(err, coordrecord.ErrUnsupported):
		return some(fmt.Sprintf("Unknown record type %d at offset %d, skipping.", recordType, e.offset)), printed{}, nil
	case err != nil:
		return broken("Could not read record with version %d from key's buffer due to: %s.", recordType, cause(err))
	}
	key = some(string(k.AppendJSON([]byte(`{"type":"`+strconv.Itoa(int(recordType))+`","data":`), 0)) + "}")
	if e.value == nil {
		return key, some("<DELETE>"), nil
	}
	if len(e.value) < 2 {
		return broken("Could not read version from value's buffer.")
	}
	v, version, err := t.value(recordType, e.value)
	switch {
	case errors.Is(err, coordrecord.ErrUnsupported):
		return broken("Found an unknown record version %d for %d type", be16(e.value), recordType)
	case err != nil:
		return broken("Could not read record with version %d from value's buffer due to: %s.", version, cause(err))
	}
	json := v.AppendJSON([]byte(`{"version":"`+strconv.Itoa(int(version))+`","data":`), version)
	if g, ok := v.(*coordrecord.GroupMetadataValue); ok && g.ProtocolType == "consumer" {
		json = expandMembers(json, g)
	}
	return key, some(string(append(json, '}'))), nil
}

// cause is the innermost text of a decoding error, without the names around it.
func cause(err error) string {
	text := err.Error()
	if i := bytes.LastIndex([]byte(text), []byte(": ")); i >= 0 {
		return text[i+2:]
	}
	return text
}

// expandMembers shows the subscription and assignment of a classic group's members, which consumers serialize in
// their own protocol, as objects. What is not of that protocol stays in base64.
func expandMembers(json []byte, g *coordrecord.GroupMetadataValue) []byte {
	for _, m := range g.Members {
		json = expand(json, "subscription", m.Subscription, appendSubscription)
		json = expand(json, "assignment", m.Assignment, appendAssignment)
	}
	return json
}

// expand replaces the first field of that name that still is the value in base64. No string of a JSON text can hold
// the field's quotes unescaped, so what is found is the field.
func expand(json []byte, field string, value []byte, print func([]byte, *message.Reader, int16) []byte) []byte {
	old := []byte(`"` + field + `":"` + base64.StdEncoding.EncodeToString(value) + `"`)
	at := bytes.Index(json, old)
	r := message.NewReader(value)
	text := print([]byte(`"`+field+`":`), r, r.Int16())
	if at < 0 || r.Err() != nil {
		return json
	}
	return append(append(append([]byte(nil), json[:at]...), text...), json[at+len(old):]...)
}

// appendSubscription prints versions 0 to 3 of a consumer's subscription.
func appendSubscription(dst []byte, r *message.Reader, version int16) []byte {
	dst = append(dst, `{"topics":[`...)
	for range max(0, r.RequiredArrayLen(false, 2)) {
		dst = message.AppendJSONString(message.AppendJSONComma(dst), r.String(false))
	}
	dst = message.AppendJSONBytes(append(dst, `],"userData":`...), r.NullableBytes(false))
	if version >= 1 {
		dst = appendTopicPartitions(append(dst, `,"ownedPartitions":`...), r)
	}
	if version >= 2 {
		dst = appendInt(dst, `,"generationId":`, int64(r.Int32()))
	}
	if version >= 3 {
		dst = message.AppendJSONNullableString(append(dst, `,"rackId":`...), r.NullableString(false))
	}
	return append(dst, '}')
}

// appendAssignment prints versions 0 to 3 of a consumer's assignment, which do not differ.
func appendAssignment(dst []byte, r *message.Reader, _ int16) []byte {
	dst = appendTopicPartitions(append(dst, `{"assignedPartitions":`...), r)
	return append(message.AppendJSONBytes(append(dst, `,"userData":`...), r.NullableBytes(false)), '}')
}

func appendTopicPartitions(dst []byte, r *message.Reader) []byte {
	dst = append(dst, '[')
	for range max(0, r.RequiredArrayLen(false, 6)) {
		dst = message.AppendJSONString(append(message.AppendJSONComma(dst), `{"topic":`...), r.String(false))
		dst = append(dst, `,"partitions":[`...)
		for range max(0, r.RequiredArrayLen(false, 4)) {
			dst = message.AppendJSONInt(message.AppendJSONComma(dst), int64(r.Int32()))
		}
		dst = append(dst, ']', '}')
	}
	return append(dst, ']')
}
