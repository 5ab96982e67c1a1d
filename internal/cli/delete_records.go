package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// deleteRecordsTool is kafka-delete-records: delete the records of partitions before an offset.
type deleteRecordsTool struct {
	set *kafkaflag.Set

	bootstrap, offsetFile, commandConfig *kafkaflag.Flag
}

func newDeleteRecordsTool() Command {
	s := kafkaflag.New("kafka-delete-records", "This tool helps to delete records of the given partitions down to the specified offset.", kafkaflag.Jopt)
	t := &deleteRecordsTool{set: s}
	t.bootstrap = s.String("bootstrap-server", "server(s) to use for bootstrapping", "REQUIRED: the brokers to contact first, as host:port, separated by commas.")
	t.offsetFile = s.String("offset-json-file", "Offset json file path", `REQUIRED: a JSON file with an offset per partition: {"partitions": [{"topic": "foo", "partition": 1, "offset": 1}], "version": 1}`)
	t.commandConfig = s.String("command-config", "command config property file path", "A properties file with settings for the admin client.")
	return t
}

// Flags implements Command.
func (t *deleteRecordsTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *deleteRecordsTool) Run(ctx context.Context, env Env) error {
	if err := t.set.CheckRequired(t.bootstrap, t.offsetFile); err != nil {
		return err
	}
	return throw(env, t.delete(ctx, env))
}

func (t *deleteRecordsTool) delete(ctx context.Context, env Env) error {
	admin, err := connect(env, "bootstrap.servers", t.bootstrap.Value(), t.commandConfig.Value())
	if err != nil {
		return err
	}
	defer admin.Close()
	data, err := os.ReadFile(t.offsetFile.Value())
	if err != nil {
		return &client.Error{Class: "java.io.IOException", Message: "Unable to read file " + t.offsetFile.Value()}
	}
	wanted, err := parseOffsetsJSON(data)
	if err != nil {
		return err
	}
	fmt.Fprintln(env.Stdout, "Executing records delete operation")
	results := deleteRecords(ctx, admin, wanted)
	fmt.Fprintln(env.Stdout, "Records delete operation completed:")
	order := make([]topicPartition, len(wanted))
	for i, w := range wanted {
		order[i] = w.tp
	}
	hashOrder(order, len(order), topicPartition.hash)
	for _, tp := range order {
		name := fmt.Sprintf("%s-%d", tp.topic, tp.partition)
		r := results[tp]
		if r.err == nil {
			fmt.Fprintf(env.Stdout, "partition: %s\tlow_watermark: %d\n", name, r.lowWatermark)
			continue
		}
		if code := codeOf(r.err); code > 0 {
			client.Logf(env.Stderr, "ERROR", "org.apache.kafka.clients.admin.internals.DeleteRecordsHandler",
				"[AdminClient clientId=adminclient-1] DeleteRecords request for topic partition %s failed due to an unexpected error %s",
				name, kerr.TypedErrorForCode(code).Message)
		}
		fmt.Fprintf(env.Stdout, "partition: %s\terror: %s\n", name, client.Java(r.err))
	}
	return nil
}

// partitionOffset is an offset of a partition.
type partitionOffset struct {
	tp     topicPartition
	offset int64
}

// parseOffsetsJSON reads the file of --offset-json-file. A partition may be there only once.
func parseOffsetsJSON(data []byte) ([]partitionOffset, error) {
	var file struct {
		Version    *int64 `json:"version"`
		Partitions *[]struct {
			Topic     *string `json:"topic"`
			Partition *int64  `json:"partition"`
			Offset    *int64  `json:"offset"`
		} `json:"partitions"`
	}
	fail := func(format string, args ...any) error {
		return &client.Error{Class: "org.apache.kafka.tools.AdminOperationException", Message: fmt.Sprintf(format, args...)}
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if !json.Valid(data) {
		return nil, fail("The input string is not a valid JSON")
	}
	if err := dec.Decode(&file); err != nil && err != io.EOF {
		return nil, fail("The offset JSON file does not have the expected form: %v", err)
	}
	if file.Version != nil && *file.Version != 1 {
		return nil, fail("Not supported version field value %d", *file.Version)
	}
	if file.Partitions == nil {
		return nil, fail("Missing partitions field")
	}
	seen := map[topicPartition]int{}
	var out []partitionOffset
	for _, p := range *file.Partitions {
		for name, missing := range map[string]bool{"topic": p.Topic == nil, "partition": p.Partition == nil, "offset": p.Offset == nil} {
			if missing {
				return nil, &client.Error{Class: "com.fasterxml.jackson.databind.JsonMappingException", Message: "No such field exists: `" + name + "`"}
			}
		}
		if *p.Partition < 0 || *p.Partition > math.MaxInt32 {
			return nil, fail("%d is no partition", *p.Partition)
		}
		tp := topicPartition{*p.Topic, int32(*p.Partition)}
		if seen[tp]++; seen[tp] == 1 {
			out = append(out, partitionOffset{tp, *p.Offset})
		}
	}
	var twice []string
	for _, o := range out {
		if seen[o.tp] > 1 {
			twice = append(twice, fmt.Sprintf("%s-%d", o.tp.topic, o.tp.partition))
		}
	}
	if len(twice) > 0 {
		return nil, &client.Error{Class: "org.apache.kafka.tools.AdminCommandFailedException",
			Message: "Offset json file contains duplicate topic partitions: " + strings.Join(twice, ",")}
	}
	return out, nil
}

// deletedRecords is what became of a partition: its new low watermark, or an error.
type deletedRecords struct {
	lowWatermark int64
	err          error
}

func deleteRecords(ctx context.Context, admin *client.Admin, wanted []partitionOffset) map[topicPartition]deletedRecords {
	out := map[topicPartition]deletedRecords{}
	if len(wanted) == 0 {
		return out
	}
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 30000
	index := map[string]int{}
	for _, w := range wanted {
		i, ok := index[w.tp.topic]
		if !ok {
			i = len(req.Topics)
			index[w.tp.topic] = i
			t := kmsg.NewDeleteRecordsRequestTopic()
			t.Topic = w.tp.topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewDeleteRecordsRequestTopicPartition()
		p.Partition, p.Offset = w.tp.partition, w.offset
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
		out[w.tp] = deletedRecords{err: client.Coded(kerr.UnknownTopicOrPartition.Code, nil)}
	}
	for _, shard := range admin.CallSharded(ctx, "deleteRecords", req) {
		if shard.Err != nil {
			for _, t := range shard.Req.(*kmsg.DeleteRecordsRequest).Topics {
				for _, p := range t.Partitions {
					out[topicPartition{t.Topic, p.Partition}] = deletedRecords{err: shard.Err}
				}
			}
			continue
		}
		for _, t := range shard.Resp.(*kmsg.DeleteRecordsResponse).Topics {
			for _, p := range t.Partitions {
				out[topicPartition{t.Topic, p.Partition}] = deletedRecords{p.LowWatermark, client.Coded(p.ErrorCode, nil)}
			}
		}
	}
	return out
}
