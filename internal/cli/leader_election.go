package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

const commandFailed = "org.apache.kafka.tools.AdminCommandFailedException"

// leaderElectionTool is kafka-leader-election: it makes preferred replicas the leaders again, or replicas that are not in
// sync where no other is left.
type leaderElectionTool struct {
	set *kafkaflag.Set

	bootstrap, config, oldConfig, path, topic, partition, all, kind *kafkaflag.Flag
}

func newLeaderElectionTool() Command {
	s := kafkaflag.New("kafka-leader-election", "This tool attempts to elect a new leader for a set of topic partitions. The type of elections supported "+
		"are preferred replicas and unclean replicas.", kafkaflag.Jopt)
	return &leaderElectionTool{
		set:       s,
		bootstrap: s.String("bootstrap-server", "host:port", "The brokers to contact first, as host:port, separated by commas. REQUIRED."),
		oldConfig: s.String("admin.config", "config file", "(DEPRECATED) The same as --command-config."),
		config:    s.String("command-config", "Config file", "A properties file with settings for the admin client."),
		path: s.String("path-to-json-file", "Path to JSON file", "A file with the partitions: {\"partitions\": [{\"topic\": \"foo\", \"partition\": 1}, "+
			"{\"topic\": \"foobar\", \"partition\": 2}]}. Not with --all-topic-partitions or --topic."),
		topic:     s.String("topic", "topic name", "The topic of the partition. Not with --path-to-json-file or --all-topic-partitions."),
		partition: s.Int("partition", "partition id", "The partition; REQUIRED with --topic."),
		all:       s.Switch("all-topic-partitions", "All partitions that are in need of such an election. Not with --topic or --path-to-json-file."),
		kind: s.String("election-type", "[PREFERRED,UNCLEAN]: election type", "\"preferred\" elects the preferred replica where another one leads, "+
			"\"unclean\" a replica that is not in sync where there is no leader. REQUIRED."),
	}
}

// Flags implements Command.
func (t *leaderElectionTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *leaderElectionTool) Run(ctx context.Context, env Env) error {
	kind, err := t.check(env)
	if err != nil {
		return throw(env, err)
	}
	partitions, err := t.partitions()
	if err != nil {
		return throw(env, err)
	}
	p, err := loadProperties(t.config.Value() + t.oldConfig.Value())
	if err != nil {
		return throw(env, err)
	}
	for key, value := range map[string]string{"default.api.timeout.ms": "30000", "request.timeout.ms": "15000"} {
		if _, ok := p[key]; !ok {
			p[key] = value
		}
	}
	c, err := reach(env, p, t.bootstrap.Value(), "")
	if err != nil {
		return throw(env, err)
	}
	defer c.close()
	return throw(env, elect(ctx, env, c, kind, partitions))
}

// check refuses what makes no sense and returns the kind of election.
func (t *leaderElectionTool) check(env Env) (kind string, err error) {
	kind = strings.ToUpper(t.kind.Value())
	if t.kind.Present() && kind != "PREFERRED" && kind != "UNCLEAN" {
		return "", &client.Error{Class: "joptsimple.OptionArgumentConversionException", Message: fmt.Sprintf("Cannot parse argument '%s' of option election-type", t.kind.Value())}
	}
	var missing []string
	for _, f := range []*kafkaflag.Flag{t.bootstrap, t.kind} {
		if !f.Present() {
			missing = append(missing, f.Name)
		}
	}
	if len(missing) > 0 {
		return "", &client.Error{Class: commandFailed, Message: "Missing required option(s): " + strings.Join(missing, ", ")}
	}
	if err := t.set.CheckInvalid(t.oldConfig, t.config); err != nil {
		return "", err
	}
	if t.oldConfig.Present() {
		fmt.Fprintln(env.Stdout, "Option --admin.config has been deprecated and will be removed in a future version. Use --command-config instead.")
	}
	switch {
	case kafkaflag.Count(t.topic, t.all, t.path) != 1:
		return "", &client.Error{Class: commandFailed, Message: "One and only one of the following options is required: topic, all-topic-partitions, path-to-json-file"}
	case t.topic.Present() && !t.partition.Present():
		return "", &client.Error{Class: commandFailed, Message: "Missing required option(s): partition"}
	case !t.topic.Present() && t.partition.Present():
		return "", &client.Error{Class: commandFailed, Message: "Option partition is only allowed if topic is used"}
	}
	return kind, nil
}

// partitions are those that the command line or the file names, nil for all.
func (t *leaderElectionTool) partitions() ([]topicPartition, error) {
	switch {
	case t.all.Present():
		return nil, nil
	case t.topic.Present():
		return []topicPartition{{t.topic.Value(), int32(t.partition.Int64())}}, nil
	}
	text, err := os.ReadFile(t.path.Value())
	if err != nil {
		return nil, runtimeError("java.io.IOException: Unable to read file %s", t.path.Value())
	}
	var file struct {
		Partitions *[]struct {
			Topic     string `json:"topic"`
			Partition int32  `json:"partition"`
		} `json:"partitions"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, &client.Error{Class: operationFailed, Message: "Replica election data is empty"}
	}
	if file.Partitions == nil {
		return nil, &client.Error{Class: operationFailed, Message: "Replica election data is missing \"partitions\" field"}
	}
	out := []topicPartition{}
	for _, p := range *file.Partitions {
		tp := topicPartition{p.Topic, p.Partition}
		if slices.Contains(out, tp) {
			return nil, &client.Error{Class: operationFailed, Message: fmt.Sprintf("Replica election data contains duplicate partitions: [%s]", tp)}
		}
		out = append(out, tp)
	}
	return out, nil
}

// String is the partition's usual name.
func (tp topicPartition) String() string { return fmt.Sprintf("%s-%d", tp.topic, tp.partition) }

type electionFailure struct {
	partition topicPartition
	err       error
}

func elect(ctx context.Context, env Env, c *cluster, kind string, partitions []topicPartition) error {
	resp, err := electLeaders(ctx, c, kind, partitions)
	if err != nil {
		message := ""
		switch {
		case client.HasCode(err, kerr.ClusterAuthorizationFailed):
			message = "Not authorized to perform leader election"
		case isTimeout(err):
			message = "Timeout waiting for election results"
		default:
			return runtimeError("java.util.concurrent.ExecutionException: %s", client.Java(err))
		}
		fmt.Fprintln(env.Stdout, message)
		return &client.Error{Class: commandFailed, Message: message}
	}
	var succeeded, unneeded []topicPartition
	var failures []electionFailure
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			tp := topicPartition{t.Topic, p.Partition}
			switch err := client.Coded(p.ErrorCode, p.ErrorMessage); {
			case err == nil:
				succeeded = append(succeeded, tp)
			case client.HasCode(err, kerr.ElectionNotNeeded):
				unneeded = append(unneeded, tp)
			default:
				failures = append(failures, electionFailure{tp, err})
			}
		}
	}
	if len(succeeded) > 0 {
		fmt.Fprintf(env.Stdout, "Successfully completed leader election (%s) for partitions %s\n", kind, joinPartitions(succeeded))
	}
	if len(unneeded) > 0 {
		fmt.Fprintf(env.Stdout, "Valid replica already elected for partitions %s\n", joinPartitions(unneeded))
	}
	return reportElectionFailures(env, kind, failures)
}

func electLeaders(ctx context.Context, c *cluster, kind string, partitions []topicPartition) (*kmsg.ElectLeadersResponse, error) {
	req := kmsg.NewPtrElectLeadersRequest()
	if kind == "UNCLEAN" {
		req.ElectionType = 1
	}
	if partitions != nil {
		req.Topics = []kmsg.ElectLeadersRequestTopic{}
	}
	for _, tp := range partitions {
		i := slices.IndexFunc(req.Topics, func(t kmsg.ElectLeadersRequestTopic) bool { return t.Topic == tp.topic })
		if i < 0 {
			t := kmsg.NewElectLeadersRequestTopic()
			t.Topic = tp.topic
			req.Topics = append(req.Topics, t)
			i = len(req.Topics) - 1
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, tp.partition)
	}
	raw, err := c.admin.Call(ctx, "electLeaders", req)
	if err != nil {
		return nil, err
	}
	resp := raw.(*kmsg.ElectLeadersResponse)
	return resp, client.Coded(resp.ErrorCode, nil)
}

func isTimeout(err error) bool {
	var e *client.Error
	return errors.As(err, &e) && strings.HasSuffix(e.Class, ".TimeoutException")
}

// joinPartitions lists partitions in the order of Kafka's tool.
func joinPartitions(partitions []topicPartition) string {
	hashOrder(partitions, defaultHashCapacity, topicPartition.hash)
	names := make([]string, len(partitions))
	for i, tp := range partitions {
		names[i] = tp.String()
	}
	return strings.Join(names, ", ")
}

func reportElectionFailures(env Env, kind string, failures []electionFailure) error {
	if len(failures) == 0 {
		return nil
	}
	hashOrder(failures, defaultHashCapacity, func(f electionFailure) int32 { return f.partition.hash() })
	for _, f := range failures {
		fmt.Fprintf(env.Stdout, "Error completing leader election (%s) for partition: %s: %s\n", kind, f.partition, client.Java(f.err))
	}
	message := fmt.Sprintf("%d replica(s) could not be elected", len(failures))
	fmt.Fprintf(env.Stderr, "%s\n%s: %s\n", message, commandFailed, message)
	for _, f := range failures {
		fmt.Fprintf(env.Stderr, "\tSuppressed: %s\n", client.Java(f.err))
	}
	fmt.Fprintln(env.Stderr)
	return failed
}
