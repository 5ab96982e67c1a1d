// Package client builds franz-go clients from what Kafka's tools are given: bootstrap servers and properties with
// Kafka's client settings, TLS and SASL included. It also carries the errors of the Java client, since users and
// scripts know them by their class names and words.
//
// It parses no command line and prints nothing but connection warnings. Settings that name Java classes (login
// callback handlers, interceptors, key stores in JKS form) are refused or have no effect, as the functions say.
package client

import (
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Role is what the client is for; it names the client in warnings and gives the default client id.
type Role string

// The roles.
const (
	AdminRole    Role = "AdminClient"
	ProducerRole Role = "Producer"
	ConsumerRole Role = "Consumer"
)

// Options are the settings that all roles share: bootstrap.servers (or bootstrap.controllers), client.id,
// security.*, ssl.*, sasl.*, metadata.max.age.ms, connections.max.idle.ms, socket and retry times. Warnings go to stderr.
func Options(p Properties, role Role, stderr io.Writer) ([]kgo.Opt, error) {
	return options(p, newConnectionLog(role, p, stderr))
}

func options(p Properties, watch *connectionLog) ([]kgo.Opt, error) {
	seeds, err := bootstrap(p, watch.stderr)
	if err != nil {
		return nil, err
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(seeds...),
		kgo.ClientID(watch.clientID),
		kgo.WithHooks(watch),
	}
	security, err := securityOptions(p)
	if err != nil {
		return nil, err
	}
	times, err := timeOptions(p)
	if err != nil {
		return nil, err
	}
	return append(append(opts, security...), times...), nil
}

func bootstrap(p Properties, stderr io.Writer) ([]string, error) {
	key := "bootstrap.servers"
	if p[key] == "" && p["bootstrap.controllers"] != "" {
		key = "bootstrap.controllers"
	}
	var seeds []string
	for _, server := range p.List(key) {
		host, port, err := net.SplitHostPort(server)
		if err != nil || host == "" || port == "" {
			return nil, clientCreation(ConfigError("Invalid url in " + key + ": " + server))
		}
		if _, err := net.LookupPort("tcp", port); err != nil {
			return nil, clientCreation(ConfigError("Invalid port in " + key + ": " + server))
		}
		if _, err := net.LookupHost(host); err != nil {
			Logf(stderr, "WARN", "org.apache.kafka.clients.ClientUtils",
				"Couldn't resolve server %s from %s as DNS resolution failed for %s", server, key, host)
			continue
		}
		seeds = append(seeds, server)
	}
	if len(seeds) == 0 {
		return nil, clientCreation(ConfigError("No resolvable bootstrap urls given in " + key))
	}
	return seeds, nil
}

// CreationError is a client that could not be made from its settings.
type CreationError struct{ Cause error }

func clientCreation(cause error) error { return &CreationError{Cause: cause} }

// Error gives the cause, which is what the user can mend.
func (e *CreationError) Error() string { return e.Cause.Error() }

// Unwrap is the wrong setting.
func (e *CreationError) Unwrap() error { return e.Cause }

func timeOptions(p Properties) ([]kgo.Opt, error) {
	var opts []kgo.Opt
	age, err := p.Millis("metadata.max.age.ms", 5*time.Minute)
	if err != nil {
		return nil, err
	}
	idle, err := p.Millis("connections.max.idle.ms", 9*time.Minute)
	if err != nil {
		return nil, err
	}
	dial, err := p.Millis("socket.connection.setup.timeout.ms", 10*time.Second)
	if err != nil {
		return nil, err
	}
	if age > 0 {
		opts = append(opts, kgo.MetadataMaxAge(age), kgo.MetadataMinAge(min(age, 250*time.Millisecond)))
	}
	if idle > 0 {
		opts = append(opts, kgo.ConnIdleTimeout(idle))
	}
	if p["security.protocol"] == "" || strings.HasSuffix(strings.ToUpper(p["security.protocol"]), "PLAINTEXT") {
		opts = append(opts, kgo.DialTimeout(dial))
	}
	return append(opts,
		kgo.RetryBackoffFn(retryBackoff),
	), nil
}

// ProducerOptions are Options and what a producer's settings say: acks, compression.type, linger.ms, batch.size, …
func ProducerOptions(p Properties, stderr io.Writer) ([]kgo.Opt, error) {
	opts, err := Options(p, ProducerRole, stderr)
	if err != nil {
		return nil, err
	}
	for _, part := range []func(Properties) ([]kgo.Opt, error){acksOptions, batchOptions, deliveryOptions} {
		more, err := part(p)
		if err != nil {
			return nil, err
		}
		opts = append(opts, more...)
	}
	return append(opts, kgo.RecordPartitioner(kgo.UniformBytesPartitioner(16384, true, true, nil)), kgo.AllowAutoTopicCreation()), nil
}

func acksOptions(p Properties) ([]kgo.Opt, error) {
	idempotent, err := p.Bool("enable.idempotence", true)
	if err != nil {
		return nil, err
	}
	_, asked := p["enable.idempotence"]
	acks := kgo.AllISRAcks()
	switch v := strings.ToLower(strings.TrimSpace(p["acks"])); v {
	case "", "all", "-1":
	case "0", "1":
		if acks = kgo.LeaderAck(); v == "0" {
			acks = kgo.NoAck()
		}
		if asked && idempotent || p["transactional.id"] != "" {
			return nil, ConfigError("Must set acks to all in order to use the idempotent producer. Otherwise we cannot guarantee idempotence.")
		}
		idempotent = false
	default:
		return nil, ConfigError(fmt.Sprintf("Invalid value %s for configuration acks: String must be one of: all, -1, 0, 1", p["acks"]))
	}
	opts := []kgo.Opt{kgo.RequiredAcks(acks)}
	if !idempotent {
		inflight, err := p.Int("max.in.flight.requests.per.connection", 5)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(int(max(inflight, 1))))
	}
	if id := p["transactional.id"]; id != "" {
		timeout, err := p.Millis("transaction.timeout.ms", time.Minute)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.TransactionalID(id), kgo.TransactionTimeout(timeout))
	}
	return opts, nil
}

var codecs = map[string]func() kgo.CompressionCodec{
	"":       kgo.NoCompression,
	"none":   kgo.NoCompression,
	"gzip":   kgo.GzipCompression,
	"snappy": kgo.SnappyCompression,
	"lz4":    kgo.Lz4Compression,
	"zstd":   kgo.ZstdCompression,
}

func batchOptions(p Properties) ([]kgo.Opt, error) {
	codec, ok := codecs[strings.ToLower(p["compression.type"])]
	if !ok {
		return nil, ConfigError("Invalid value " + p["compression.type"] +
			" for configuration compression.type: String must be one of: none, gzip, snappy, lz4, zstd")
	}
	level, err := p.Int("compression."+strings.ToLower(p["compression.type"])+".level", -1)
	if err != nil {
		return nil, err
	}
	c := codec()
	if level >= 0 {
		c = c.WithLevel(int(level))
	}
	batch, err := p.Int("batch.size", 16384)
	if err != nil {
		return nil, err
	}
	// batch.size bounds what is gathered, max.request.size what one record may need: franz-go has one limit for both.
	limit, err := p.Int("max.request.size", 1<<20)
	if err != nil {
		return nil, err
	}
	linger, err := p.Millis("linger.ms", 5*time.Millisecond)
	if err != nil {
		return nil, err
	}
	memory, err := p.Int("buffer.memory", 32<<20)
	if err != nil {
		return nil, err
	}
	return []kgo.Opt{
		kgo.ProducerBatchCompression(c),
		kgo.ProducerBatchMaxBytes(int32(min(max(batch, 1<<10, limit), 100<<20))),
		kgo.ProducerLinger(linger),
		kgo.MaxBufferedBytes(int(max(memory, 1<<10))),
		kgo.MaxBufferedRecords(1 << 20),
	}, nil
}

func deliveryOptions(p Properties) ([]kgo.Opt, error) {
	delivery, err := p.Millis("delivery.timeout.ms", 2*time.Minute)
	if err != nil {
		return nil, err
	}
	request, err := p.Millis("request.timeout.ms", 30*time.Second)
	if err != nil {
		return nil, err
	}
	opts := []kgo.Opt{kgo.RecordDeliveryTimeout(max(delivery, time.Second)), kgo.ProduceRequestTimeout(max(request, 100*time.Millisecond))}
	if _, ok := p["retries"]; ok {
		retries, err := p.Int("retries", 0)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.RecordRetries(int(retries)))
	}
	return opts, nil
}

// ConsumerOptions are Options and what a consumer's settings say: group.id, auto.offset.reset, isolation.level,
// fetch.*, … What to consume is the caller's to add.
func ConsumerOptions(p Properties, stderr io.Writer) ([]kgo.Opt, error) {
	opts, err := Options(p, ConsumerRole, stderr)
	if err != nil {
		return nil, err
	}
	for _, part := range []func(Properties) ([]kgo.Opt, error){fetchOptions, positionOptions, groupOptions} {
		more, err := part(p)
		if err != nil {
			return nil, err
		}
		opts = append(opts, more...)
	}
	return opts, nil
}

func fetchOptions(p Properties) ([]kgo.Opt, error) {
	type limit struct {
		key string
		def int64
		opt func(int32) kgo.Opt
	}
	var opts []kgo.Opt
	for _, l := range []limit{
		{"fetch.min.bytes", 1, func(n int32) kgo.Opt { return kgo.FetchMinBytes(n) }},
		{"fetch.max.bytes", 50 << 20, func(n int32) kgo.Opt { return kgo.FetchMaxBytes(n) }},
		{"max.partition.fetch.bytes", 1 << 20, func(n int32) kgo.Opt { return kgo.FetchMaxPartitionBytes(n) }},
	} {
		n, err := p.Int(l.key, l.def)
		if err != nil {
			return nil, err
		}
		opts = append(opts, l.opt(int32(min(n, 1<<30))))
	}
	wait, err := p.Millis("fetch.max.wait.ms", 500*time.Millisecond)
	if err != nil {
		return nil, err
	}
	opts = append(opts, kgo.FetchMaxWait(wait))
	if rack := p["client.rack"]; rack != "" {
		opts = append(opts, kgo.Rack(rack))
	}
	create, err := p.Bool("allow.auto.create.topics", true)
	if create {
		opts = append(opts, kgo.AllowAutoTopicCreation())
	}
	return opts, err
}

func positionOptions(p Properties) (opts []kgo.Opt, err error) {
	switch v := strings.ToLower(p["auto.offset.reset"]); {
	case v == "", v == "latest":
		opts = append(opts, kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
	case v == "earliest":
		opts = append(opts, kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	case v == "none":
		opts = append(opts, kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	case strings.HasPrefix(v, "by_duration:"):
		d, err := ParseDuration(p["auto.offset.reset"][len("by_duration:"):])
		if err != nil {
			return nil, ConfigError("Invalid value " + p["auto.offset.reset"] + " for configuration auto.offset.reset: " + err.Error())
		}
		opts = append(opts, kgo.ConsumeResetOffset(kgo.NewOffset().AfterMilli(time.Now().Add(-d).UnixMilli())))
	default:
		return nil, ConfigError("Invalid value " + p["auto.offset.reset"] + " for configuration auto.offset.reset: " +
			"Invalid value `" + p["auto.offset.reset"] + "` for configuration auto.offset.reset. The value must be either 'earliest', 'latest', 'none' or of the format 'by_duration:<PnDTnHnMn.nS.>'.")
	}
	switch v := p["isolation.level"]; v {
	case "", "read_uncommitted":
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadUncommitted()))
	case "read_committed":
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	default:
		return nil, ConfigError("Invalid value " + v + " for configuration isolation.level: String must be one of: read_committed, read_uncommitted")
	}
	return opts, nil
}
