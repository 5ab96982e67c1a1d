package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/cli/client"
)

const formatterPackage = "org.apache.kafka.tools.consumer."

// messageFormatter appends a record as it is to be printed. An error is a record that cannot be printed.
type messageFormatter interface {
	appendRecord(dst []byte, r *kgo.Record) ([]byte, error)
}

// newMessageFormatter makes the formatter of a class name; former names are known too. It is false for a class that
// there is not.
func newMessageFormatter(class string, settings client.Properties, stderr io.Writer) (messageFormatter, bool) {
	name := class[strings.LastIndexAny(class, ".$")+1:]
	if !strings.HasPrefix(class, "org.apache.kafka.tools.consumer.") && !strings.HasPrefix(class, "kafka.") {
		return nil, false
	}
	switch name {
	case "DefaultMessageFormatter":
		return newDefaultFormatter(settings, stderr), true
	case "LoggingMessageFormatter":
		return &loggingFormatter{newDefaultFormatter(settings, stderr), stderr}, true
	case "NoOpMessageFormatter":
		return noOpFormatter{}, true
	}
	f, ok := coordinatorFormatters[name]
	return f, ok
}

type noOpFormatter struct{}

func (noOpFormatter) appendRecord(dst []byte, _ *kgo.Record) ([]byte, error) { return dst, nil }

// defaultFormatter prints the parts of a record that its settings ask for, with separators between them.
type defaultFormatter struct {
	timestamp, key, value, partition, offset, delivery, epoch, headers bool
	keySeparator, lineSeparator, headersSeparator, nullLiteral         string
	readKey, readValue, readHeader                                     deserializer
}

func newDefaultFormatter(settings client.Properties, stderr io.Writer) *defaultFormatter {
	is := func(key string, def bool) bool {
		if v, ok := settings[key]; ok {
			return strings.EqualFold(strings.TrimSpace(v), "true")
		}
		return def
	}
	text := func(key, def string) string {
		if v, ok := settings[key]; ok {
			return v
		}
		return def
	}
	return &defaultFormatter{
		timestamp: is("print.timestamp", false), key: is("print.key", false), value: is("print.value", true),
		partition: is("print.partition", false), offset: is("print.offset", false), delivery: is("print.delivery", false),
		epoch: is("print.epoch", false), headers: is("print.headers", false),
		keySeparator: text("key.separator", "\t"), lineSeparator: text("line.separator", "\n"),
		headersSeparator: text("headers.separator", ","), nullLiteral: text("null.literal", "null"),
		readKey:    deserializerOf("key.deserializer", settings, stderr),
		readValue:  deserializerOf("value.deserializer", settings, stderr),
		readHeader: deserializerOf("headers.deserializer", settings, stderr),
	}
}

func (f *defaultFormatter) appendRecord(dst []byte, r *kgo.Record) ([]byte, error) {
	var err error
	remaining := f.parts()
	separate := func() { // the last part is followed by the line's separator
		if remaining--; remaining > 0 {
			dst = append(dst, f.keySeparator...)
		} else {
			dst = append(dst, f.lineSeparator...)
		}
	}
	if f.timestamp {
		dst = append(dst, timestampText(r)...)
		separate()
	}
	for _, part := range []struct {
		wanted bool
		text   func() string
	}{
		{f.partition, func() string { return "Partition:" + strconv.Itoa(int(r.Partition)) }},
		{f.offset, func() string { return "Offset:" + strconv.FormatInt(r.Offset, 10) }},
		{f.delivery, func() string { return "Delivery:NOT_PRESENT" }},
		{f.epoch, func() string { return "Epoch:NOT_PRESENT" }}, // Kafka's tool drops the epoch before it prints
	} {
		if part.wanted {
			dst = append(dst, part.text()...)
			separate()
		}
	}
	if f.headers {
		if dst, err = f.appendHeaders(dst, r.Headers); err != nil {
			return nil, err
		}
		separate()
	}
	if f.key {
		if dst, err = f.appendBytes(dst, f.readKey, r.Key); err != nil {
			return nil, err
		}
		separate()
	}
	if f.value {
		if dst, err = f.appendBytes(dst, f.readValue, r.Value); err != nil {
			return nil, err
		}
		dst = append(dst, f.lineSeparator...)
	}
	return dst, nil
}

func (f *defaultFormatter) parts() (n int) {
	for _, wanted := range []bool{f.timestamp, f.partition, f.offset, f.delivery, f.epoch, f.headers, f.key, f.value} {
		if wanted {
			n++
		}
	}
	return n
}

func (f *defaultFormatter) appendHeaders(dst []byte, headers []kgo.RecordHeader) ([]byte, error) {
	if len(headers) == 0 {
		return append(dst, "NO_HEADERS"...), nil
	}
	var err error
	for i, h := range headers {
		if i > 0 {
			dst = append(dst, f.headersSeparator...)
		}
		dst = append(append(dst, h.Key...), ':')
		if dst, err = f.appendBytes(dst, f.readHeader, h.Value); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

func (f *defaultFormatter) appendBytes(dst []byte, read deserializer, data []byte) ([]byte, error) {
	if data == nil {
		data = []byte(f.nullLiteral)
		if read == nil {
			return append(dst, data...), nil
		}
	}
	if read == nil {
		return append(dst, data...), nil
	}
	text, err := read(data)
	return append(dst, text...), err
}

func timestampText(r *kgo.Record) string {
	switch r.Attrs.TimestampType() {
	case 0:
		return fmt.Sprintf("CreateTime:%d", r.Timestamp.UnixMilli())
	case 1:
		return fmt.Sprintf("LogAppendTime:%d", r.Timestamp.UnixMilli())
	}
	return "NO_TIMESTAMP"
}

// loggingFormatter prints as the default one does and logs every record. Kafka logs it at a level that its tools do
// not show; so does this one.
type loggingFormatter struct {
	*defaultFormatter
	stderr io.Writer
}
