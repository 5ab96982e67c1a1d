package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// consoleProducerTool is kafka-console-producer: lines of standard input become records.
type consoleProducerTool struct {
	set *kafkaflag.Set

	topic, bootstrap, sync, compression                *kafkaflag.Flag
	lineReader, property, readerProperty, readerConfig *kafkaflag.Flag
	producerProperty, commandProperty                  *kafkaflag.Flag
	producerConfig, commandConfig                      *kafkaflag.Flag
	maxPartitionMemory                                 *kafkaflag.Flag
	tuning                                             []tuningFlag
}

// tuningFlag is a flag that stands for a client setting: a given flag overrides the properties, its default only
// fills a gap.
type tuningFlag struct {
	setting string
	flag    *kafkaflag.Flag
}

const lineMessageReader = "org.apache.kafka.tools.LineMessageReader"

func newConsoleProducerTool() Command {
	s := kafkaflag.New("kafka-console-producer", "This tool helps to read data from standard input and publish it to Kafka.", kafkaflag.Jopt)
	s.OptionErrors = kafkaflag.OptionErrorUsage
	t := &consoleProducerTool{set: s}
	t.topic = s.String("topic", "topic", "REQUIRED: the topic to produce to.")
	t.bootstrap = s.String("bootstrap-server", "server to connect to", "REQUIRED: the brokers to contact first, as host:port, separated by commas.")
	t.sync = s.Switch("sync", "Wait for the answer to each record before the next is sent.")
	t.compression = s.String("compression-codec", "compression-codec", "none, gzip, snappy, lz4 or zstd; gzip if no value is given.", kafkaflag.OptionalArg())
	t.lineReader = s.String("line-reader", "reader_class", "The class that turns standard input into records; only the default is available.", kafkaflag.Default(lineMessageReader))
	const readerSettings = "parse.key, key.separator, parse.headers, headers.delimiter, headers.separator, headers.key.separator, null.marker, ignore.error."
	t.property = s.String("property", "prop", "(DEPRECATED) Use --reader-property.", kafkaflag.Repeatable())
	t.readerProperty = s.String("reader-property", "prop", "A setting of the line reader as key=value; may be repeated: "+readerSettings, kafkaflag.Repeatable())
	t.readerConfig = s.String("reader-config", "config file", "A properties file for the line reader; --reader-property overrides it.")
	t.producerProperty = s.String("producer-property", "producer_prop", "(DEPRECATED) Use --command-property.", kafkaflag.Repeatable())
	t.commandProperty = s.String("command-property", "producer_prop", "A setting of the producer as key=value; may be repeated.", kafkaflag.Repeatable())
	t.producerConfig = s.String("producer.config", "config file", "(DEPRECATED) Use --command-config.")
	t.commandConfig = s.String("command-config", "config file", "A properties file for the producer; --command-property overrides it.")
	t.addTuning()
	s.Removed("broker-list", "it was removed in Kafka 4.0; use --bootstrap-server HOST:PORT")
	return t
}

func (t *consoleProducerTool) addTuning() {
	s := t.set
	tune := func(setting string, f *kafkaflag.Flag) *kafkaflag.Flag {
		t.tuning = append(t.tuning, tuningFlag{setting, f})
		return f
	}
	tune("linger.ms", s.Long("timeout", "timeout_ms", "How long a record may wait for others to share its batch (linger.ms).", kafkaflag.Default("1000")))
	tune("acks", s.String("request-required-acks", "request required acks", "The acks of the requests.", kafkaflag.Default("-1")))
	tune("request.timeout.ms", s.Int("request-timeout-ms", "request timeout ms", "How long a broker may take to acknowledge.", kafkaflag.Default("1500")))
	tune("retries", s.Int("message-send-max-retries", "", "How often a failed request is repeated.", kafkaflag.Default("3")))
	tune("retry.backoff.ms", s.Long("retry-backoff-ms", "", "The pause before a request is repeated.", kafkaflag.Default("100")))
	tune("send.buffer.bytes", s.Int("socket-buffer-size", "size", "The size of the TCP buffer.", kafkaflag.Default("102400")))
	tune("buffer.memory", s.Long("max-memory-bytes", "total memory in bytes", "The memory for records that wait to be sent.", kafkaflag.Default("33554432")))
	tune("batch.size", s.Int("batch-size", "size", "The size of a partition's batch.", kafkaflag.Default("16384")))
	t.maxPartitionMemory = tune("batch.size", s.Int("max-partition-memory-bytes", "memory in bytes per partition", "(DEPRECATED) Use --batch-size.", kafkaflag.Default("16384")))
	tune("metadata.max.age.ms", s.Long("metadata-expiry-ms", "metadata expiration interval", "How often the metadata are asked for anew.", kafkaflag.Default("300000")))
	tune("max.block.ms", s.Long("max-block-ms", "max block on send", "How long a send may wait for memory or for the topic.", kafkaflag.Default("60000")))
}

// Flags implements Command.
func (t *consoleProducerTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *consoleProducerTool) Run(ctx context.Context, env Env) error {
	if err := t.check(env); err != nil {
		return err
	}
	if err := t.produce(ctx, env); err != nil {
		var wrapped *groupFailure
		if errors.As(err, &wrapped) {
			fmt.Fprint(env.Stderr, "java.util.concurrent.ExecutionException: ")
		}
		fmt.Fprintln(env.Stderr, client.Java(err))
		return failed
	}
	return nil
}

func (t *consoleProducerTool) check(env Env) error {
	s := t.set
	if err := s.CheckRequired(t.topic); err != nil {
		return err
	}
	for _, pair := range []struct {
		new, old *kafkaflag.Flag
	}{{t.commandConfig, t.producerConfig}, {t.commandProperty, t.producerProperty}, {t.readerProperty, t.property}} {
		if pair.new.Present() && pair.old.Present() {
			return s.UsageErrorf("Options --%s and --%s cannot be specified together.", pair.new.Name, pair.old.Name)
		}
	}
	for _, d := range []struct {
		old *kafkaflag.Flag
		new string
	}{{t.producerProperty, "--command-property"}, {t.producerConfig, "--command-config"}, {t.property, "--reader-property"}} {
		if d.old.Present() {
			fmt.Fprintf(env.Stdout, "Warning: --%s is deprecated and will be removed in a future version. Use %s instead.\n", d.old.Name, d.new)
		}
	}
	if t.maxPartitionMemory.Present() {
		fmt.Fprintln(env.Stdout, "Warning: --max-partition-memory-bytes is deprecated and will be removed in Apache Kafka 5.0. Use --batch-size instead.")
	}
	if err := validateBootstrap(t.bootstrap.Value()); err != nil {
		return s.UsageErrorf("%s", err)
	}
	return nil
}

// validateBootstrap checks the form of --bootstrap-server in the tools that do so before they connect.
func validateBootstrap(servers string) error {
	if strings.TrimSpace(servers) == "" {
		return errors.New("Error while validating the bootstrap address\n")
	}
	for server := range strings.SplitSeq(servers, ",") {
		if i := strings.LastIndexByte(server, ':'); i < 0 || i == len(server)-1 || strings.Trim(server[i+1:], "0123456789") != "" {
			return errors.New("Please provide valid host:port like host1:9091,host2:9092\n")
		}
	}
	return nil
}

// properties are the producer's settings: file, then --command-property, then what flags say.
func (t *consoleProducerTool) properties() (client.Properties, error) {
	p, err := loadClientProperties(firstPresent(t.commandConfig, t.producerConfig), firstPresent(t.commandProperty, t.producerProperty))
	if err != nil {
		return nil, err
	}
	p["bootstrap.servers"] = t.bootstrap.Value()
	p["compression.type"] = "none"
	if t.compression.Present() {
		if p["compression.type"] = t.compression.Value(); p["compression.type"] == "" {
			p["compression.type"] = "gzip"
		}
	}
	if p["client.id"] == "" {
		p["client.id"] = "console-producer"
	}
	for _, tf := range t.tuning {
		if _, set := p[tf.setting]; tf.flag.Present() || !set {
			p[tf.setting] = tf.flag.Value()
		}
	}
	return p, nil
}

// firstPresent is the flag of two spellings that was used, or the first.
func firstPresent(flags ...*kafkaflag.Flag) *kafkaflag.Flag {
	for _, f := range flags {
		if f.Present() {
			return f
		}
	}
	return flags[0]
}

// loadClientProperties reads a properties file, if one is named, and key=value pairs that override it.
func loadClientProperties(file, pairs *kafkaflag.Flag) (client.Properties, error) {
	p := client.Properties{}
	if file.Present() {
		var err error
		if p, err = client.LoadProperties(file.Value()); err != nil {
			return nil, err
		}
	}
	kvs, err := kafkaflag.KeyValues(pairs.Values(), true)
	if err != nil {
		return nil, client.IllegalArgument(err.Error())
	}
	for _, kv := range kvs {
		p[kv[0]] = kv[1]
	}
	return p, nil
}

func (t *consoleProducerTool) produce(ctx context.Context, env Env) error {
	reader, err := t.reader(env.Stdin)
	if err != nil {
		return err
	}
	reader.prompt = func() {
		if isTerminal(env.Stdin) && isTerminal(env.Stdout) {
			fmt.Fprint(env.Stdout, ">")
		}
	}
	p, err := t.properties()
	if err != nil {
		return err
	}
	opts, err := client.ProducerOptions(p, env.Stderr)
	if err != nil {
		return err
	}
	maxBlock, err := p.Millis("max.block.ms", time.Minute)
	if err != nil {
		return err
	}
	ctx, distrust := context.WithCancelCause(ctx)
	defer distrust(nil)
	opts = append(opts, kgo.UnknownTopicRetries(-1), client.OnAuthenticationFailure(func(err error) { distrust(err) }))
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return client.ConfigError(err.Error())
	}
	defer cl.Close()
	send := &consoleSender{cl: cl, topic: t.topic.Value(), clientID: p["client.id"], maxBlock: maxBlock, sync: t.sync.Present(), stderr: env.Stderr}
	err = send.all(ctx, reader)
	flushErr := cl.Flush(context.WithoutCancel(ctx)) // each record has its own time limit
	return errors.Join(err, flushErr)
}

func (t *consoleProducerTool) reader(in io.Reader) (*lineReader, error) {
	switch t.lineReader.Value() {
	case lineMessageReader, "kafka.tools.ConsoleProducer$LineMessageReader":
	default:
		return nil, &client.Error{Class: "java.lang.ClassNotFoundException", Message: t.lineReader.Value() + " (only " + lineMessageReader + " is available)"}
	}
	settings, err := loadClientProperties(t.readerConfig, firstPresent(t.readerProperty, t.property))
	if err != nil {
		return nil, err
	}
	return newLineReader(in, settings)
}

// consoleSender sends records and logs failures as Kafka's console producer does.
type consoleSender struct {
	cl       *kgo.Client
	topic    string
	clientID string
	maxBlock time.Duration
	sync     bool
	stderr   io.Writer
	known    bool // the topic's metadata have been seen
}

func (s *consoleSender) all(ctx context.Context, reader *lineReader) error {
	type item struct {
		record *kgo.Record
		err    error
	}
	items := make(chan item)
	go func() { // reading cannot be interrupted; it ends with the process
		defer close(items)
		for {
			r, err := reader.next()
			if r == nil && err == nil {
				return
			}
			select {
			case items <- item{r, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	for {
		select {
		case it, ok := <-items:
			if !ok {
				return nil
			}
			if it.err != nil {
				return it.err
			}
			if err := s.send(ctx, it.record); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *consoleSender) send(ctx context.Context, r *kgo.Record) error {
	r.Topic = s.topic
	if err := s.awaitTopic(ctx); err != nil {
		if s.sync {
			return err
		}
		s.logFailure(r, err)
		return nil
	}
	if s.sync {
		return executing(sendError(ctx, s.cl.ProduceSync(ctx, r).FirstErr(), s.topic))
	}
	s.cl.Produce(ctx, r, func(r *kgo.Record, err error) {
		if err != nil {
			s.logFailure(r, sendError(ctx, err, s.topic))
		}
	})
	return nil
}

func sendError(ctx context.Context, err error, topic string) error {
	var coded *kerr.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &coded):
		return client.Coded(coded.Code, nil)
	case errors.Is(err, context.Canceled) && context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case errors.Is(err, kgo.ErrRecordTimeout), errors.Is(err, context.DeadlineExceeded):
		return client.Timeout("Expiring record(s) for " + topic + ": the delivery timeout has passed since they were gathered")
	}
	return err
}

func (s *consoleSender) logFailure(r *kgo.Record, err error) {
	size := func(b []byte) string {
		if b == nil {
			return "null"
		}
		return fmt.Sprintf("%d bytes", len(b))
	}
	client.Logf(s.stderr, "ERROR", "org.apache.kafka.clients.producer.internals.ErrorLoggingCallback",
		"Error when sending message to topic %s with key: %s, value: %s with error:", s.topic, size(r.Key), size(r.Value))
	fmt.Fprintln(s.stderr, client.Java(err))
}

// awaitTopic waits until the topic is known, for max.block.ms at most, and warns when it is not there at first.
func (s *consoleSender) awaitTopic(ctx context.Context) error {
	if s.known {
		return nil
	}
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, s.maxBlock)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = true
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(s.topic)
	req.Topics = append(req.Topics, t)
	for attempt := 1; ; attempt++ {
		resp, err := req.RequestWith(ctx, s.cl)
		if err == nil && len(resp.Topics) == 1 {
			code := resp.Topics[0].ErrorCode
			if code == 0 {
				s.known = true
				return nil
			}
			s.warnMetadata(attempt, code)
			if code == kerr.InvalidTopicException.Code {
				return &client.Error{Code: code, Class: "org.apache.kafka.common.errors.InvalidTopicException", Message: "Invalid topics: [" + s.topic + "]"}
			}
			if err := client.Coded(code, nil); !kerr.IsRetriable(kerr.ErrorForCode(code)) {
				return err
			}
		}
		select {
		case <-ctx.Done():
			if cause := context.Cause(outer); cause != nil {
				return cause
			}
			return client.Timeout(fmt.Sprintf("Topic %s not present in metadata after %d ms.", s.topic, s.maxBlock.Milliseconds()))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *consoleSender) warnMetadata(attempt int, code int16) {
	client.Logf(s.stderr, "WARN", "org.apache.kafka.clients.NetworkClient",
		"[Producer clientId=%s] The metadata response from the cluster reported a recoverable issue with correlation id %d : {%s=%s}",
		s.clientID, attempt, s.topic, kerr.TypedErrorForCode(code).Message)
	if code == kerr.InvalidTopicException.Code {
		client.Logf(s.stderr, "ERROR", "org.apache.kafka.clients.Metadata", "[Producer clientId=%s] Metadata response reported invalid topics [%s]", s.clientID, s.topic)
	}
}
