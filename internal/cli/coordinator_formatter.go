package cli

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/coordrecord"
)

// coordinatorFormatter prints the records of a coordinator's topic as JSON, without anything between them. It leaves
// out records of other types than it shows.
type coordinatorFormatter struct {
	key   func([]byte) (coordrecord.Key, error)
	value func(recordType int16, value []byte) (coordrecord.Message, int16, error)
	types map[int16]bool // nil for all
}

var coordinatorFormatters = map[string]coordinatorFormatter{
	"OffsetsMessageFormatter":       {coordrecord.DecodeGroupKey, coordrecord.DecodeGroupValue, map[int16]bool{0: true, 1: true}},
	"GroupMetadataMessageFormatter": {coordrecord.DecodeGroupKey, coordrecord.DecodeGroupValue, map[int16]bool{2: true}},
	"ShareGroupMessageFormatter": {coordrecord.DecodeGroupKey, coordrecord.DecodeGroupValue,
		map[int16]bool{10: true, 11: true, 12: true, 13: true, 14: true, 15: true}},
	"TransactionLogMessageFormatter":  {coordrecord.DecodeTransactionKey, coordrecord.DecodeTransactionValue, nil},
	"ShareGroupStateMessageFormatter": {coordrecord.DecodeShareKey, coordrecord.DecodeShareValue, nil},
}

func (f coordinatorFormatter) appendRecord(dst []byte, r *kgo.Record) ([]byte, error) {
	if r.Key == nil {
		return dst, nil
	}
	unreadable := func(err error) ([]byte, error) {
		return nil, &client.Error{Class: "java.lang.RuntimeException", Message: fmt.Sprintf("Could not read record at offset %d due to: %v", r.Offset, err)}
	}
	if len(r.Key) < 2 {
		return unreadable(errors.New("Could not read version from key's buffer."))
	}
	recordType := int16(binary.BigEndian.Uint16(r.Key))
	key, err := f.key(r.Key)
	switch {
	case errors.Is(err, coordrecord.ErrUnsupported), err == nil && f.types != nil && !f.types[recordType]:
		return dst, nil
	case err != nil:
		return unreadable(err)
	}
	dst = append(dst, `{"key":{"type":`...)
	dst = append(strconv.AppendInt(dst, int64(recordType), 10), `,"data":`...)
	dst = append(key.AppendJSON(dst, 0), `},"value":`...)
	if r.Value == nil {
		return append(dst, "null}"...), nil
	}
	value, version, err := f.value(recordType, r.Value)
	if err != nil {
		return unreadable(err)
	}
	dst = append(dst, `{"version":`...)
	dst = append(strconv.AppendInt(dst, int64(version), 10), `,"data":`...)
	return append(value.AppendJSON(dst, version), "}}"...), nil
}
