package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/cli/dumplog"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// dumpLog is kafka-dump-log.
type dumpLog struct {
	flags *kafkaflag.Set

	files, maxMessageSize, maxBytes, valueDecoder, keyDecoder *kafkaflag.Flag
	printData, verifyIndex, sanity, deep, skipMetadata        *kafkaflag.Flag
	decoders                                                  map[*kafkaflag.Flag]dumplog.Decoder
}

func newDumpLog() Command {
	s := kafkaflag.New("kafka-dump-log", "This tool helps to parse a log file and dump its contents to the console, useful for "+
		"debugging a seemingly corrupt log segment.", kafkaflag.Jopt)
	s.OptionErrors = kafkaflag.OptionErrorThrown
	const decoder = "org.apache.kafka.tools.api.StringDecoder"
	return &dumpLog{
		flags:       s,
		printData:   s.Switch("print-data-log", "print keys and values of records; any decoder option does so too"),
		verifyIndex: s.Switch("verify-index-only", "check index entries against the log without printing them"),
		sanity: s.Switch("index-sanity-check", "only check indexes as a broker does at its start to find out whether one needs "+
			"to be rebuilt"),
		files: s.String("files", "file1, file2, ...", "REQUIRED: the data and index files to dump, separated by commas"),
		maxMessageSize: s.Int("max-message-size", "size", "bytes of the log to read behind an index entry",
			kafkaflag.Default("5242880")),
		maxBytes: s.Int("max-bytes", "size", "bytes of batches to read of each log, instead of all",
			kafkaflag.Default(strconv.Itoa(math.MaxInt32))),
		deep: s.Switch("deep-iteration", "print records too, not only batches; --print-data-log does so too"),
		valueDecoder: s.String("value-decoder-class", "", "how values are decoded: org.apache.kafka.tools.api.StringDecoder, "+
			"IntegerDecoder, LongDecoder or DefaultDecoder (hexadecimal)", kafkaflag.OptionalArg(), kafkaflag.Default(decoder)),
		keyDecoder: s.String("key-decoder-class", "", "how keys are decoded, as with --value-decoder-class",
			kafkaflag.OptionalArg(), kafkaflag.Default(decoder)),
		skipMetadata: s.Switch("skip-record-metadata", "print only keys and values of records, and no control records"),
		decoders: map[*kafkaflag.Flag]dumplog.Decoder{
			s.Switch("offsets-decoder", "read the log as one of __consumer_offsets"):                dumplog.GroupOffsets,
			s.Switch("transaction-log-decoder", "read the log as one of __transaction_state"):       dumplog.TransactionLog,
			s.Switch("cluster-metadata-decoder", "read the log as the cluster's metadata"):          dumplog.ClusterMetadata,
			s.Switch("remote-log-metadata-decoder", "read the log as one of __remote_log_metadata"): dumplog.RemoteLogMetadata,
			s.Switch("share-group-state-decoder", "read the log as one of __share_group_state"):     dumplog.ShareGroupState,
		},
	}
}

// Flags implements Command.
func (t *dumpLog) Flags() *kafkaflag.Set { return t.flags }

// Run implements Command.
func (t *dumpLog) Run(_ context.Context, env Env) error {
	if err := t.flags.CheckRequired(t.files); err != nil {
		return err
	}
	o := dumplog.Options{
		Files:              trimTrailingEmpty(strings.Split(t.files.Value(), ",")),
		PrintData:          t.printData.Present() || t.valueDecoder.Present() || t.keyDecoder.Present(),
		SkipRecordMetadata: t.skipMetadata.Present(),
		MaxBytes:           int32(t.maxBytes.Int64()),
		MaxMessageSize:     int32(t.maxMessageSize.Int64()),
		IndexSanityOnly:    t.sanity.Present(),
		VerifyIndexOnly:    t.verifyIndex.Present(),
	}
	for flag, decoder := range t.decoders {
		// The first in Kafka's order wins when there are several; it is also the order of the constants.
		if flag.Present() && (o.Decoder == dumplog.Plain || decoder < o.Decoder) {
			o.Decoder, o.PrintData = decoder, true
		}
	}
	o.Deep = t.deep.Present() || o.PrintData
	var err error
	if o.Decoder == dumplog.Plain {
		if o.ValueFormat, err = formatOf(t.valueDecoder.Value()); err == nil {
			o.KeyFormat, err = formatOf(t.keyDecoder.Value())
		}
	}
	if err == nil {
		err = dumplog.Dump(o, env.Stdout, env.Stderr)
	}
	var java *dumplog.JavaError
	if errors.As(err, &java) {
		return thrown(java.Error())
	}
	return err
}

// thrown is how the Java runtime ends a tool with an exception that nobody caught, without the stack trace.
func thrown(exception string) error {
	return &kafkaflag.ExitError{Code: 1, Message: `Exception in thread "main" ` + exception}
}

// trimTrailingEmpty drops empty elements at the end, as Java's split does.
func trimTrailingEmpty(list []string) []string {
	for len(list) > 1 && list[len(list)-1] == "" {
		list = list[:len(list)-1]
	}
	return list
}

// formatOf is the format for the name of one of Kafka's decoder classes, of the present or of old releases. Classes
// of other jars cannot be loaded.
func formatOf(class string) (dumplog.Format, error) {
	name, known := strings.CutPrefix(class, "org.apache.kafka.tools.api.")
	if !known {
		name, known = strings.CutPrefix(class, "kafka.serializer.")
	}
	formats := map[string]dumplog.Format{"StringDecoder": dumplog.Text, "IntegerDecoder": dumplog.Integer,
		"LongDecoder": dumplog.Long, "DefaultDecoder": dumplog.Hex}
	if format, ok := formats[name]; ok && known {
		return format, nil
	}
	return 0, thrown(fmt.Sprintf("java.lang.RuntimeException: Failed to load decoder class %s: Java classes cannot be loaded; "+
		"known are org.apache.kafka.tools.api.StringDecoder, IntegerDecoder, LongDecoder and DefaultDecoder", class))
}
