package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// logDirsTool is kafka-log-dirs: what lies in the log directories of brokers, as JSON.
type logDirsTool struct {
	set *kafkaflag.Set

	bootstrap, commandConfig, describe, topics, brokers *kafkaflag.Flag
}

func newLogDirsTool() Command {
	s := kafkaflag.New("kafka-log-dirs", "This tool helps to query log directory usage on the specified brokers.", kafkaflag.Jopt)
	return &logDirsTool{
		set: s,
		bootstrap: s.String("bootstrap-server", "The server(s) to use for bootstrapping",
			"REQUIRED: the brokers to contact first, as host:port, separated by commas."),
		commandConfig: s.String("command-config", "Admin client property file", "A properties file with settings for the admin client."),
		describe:      s.Switch("describe", "Describe the log directories of the brokers."),
		topics:        s.String("topic-list", "Topic list", "The topics to show, separated by commas; all if there is no list."),
		brokers:       s.String("broker-list", "Broker list", "The ids of the brokers to ask, separated by commas; all if there is no list."),
	}
}

// Flags implements Command.
func (t *logDirsTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *logDirsTool) Run(ctx context.Context, env Env) error {
	if err := t.set.CheckRequired(t.bootstrap, t.describe); err != nil {
		return err
	}
	asked, err := brokerIDs(t.brokers.Value())
	if err != nil {
		return throw(env, err)
	}
	p, err := loadProperties(t.commandConfig.Value())
	if err != nil {
		return throw(env, err)
	}
	if p["client.id"] == "" {
		p["client.id"] = "log-dirs-tool"
	}
	c, err := reach(env, p, t.bootstrap.Value(), "")
	if err != nil {
		return throw(env, err)
	}
	defer c.close()
	return throwExecution(env, t.run(ctx, env, c, asked))
}

func (t *logDirsTool) run(ctx context.Context, env Env, c *cluster, asked []int32) error {
	nodes, err := clusterNodes(ctx, c.admin)
	if err != nil {
		return err
	}
	existing := make([]int32, len(nodes))
	for i, n := range nodes {
		existing[i] = n.id
	}
	missing := slices.DeleteFunc(slices.Clone(asked), func(id int32) bool { return slices.Contains(existing, id) })
	if len(missing) > 0 {
		return terseErrorf("ERROR: The given brokers do not exist from --broker-list: %s. Current existent brokers: %s", joinIDs(missing), joinIDs(existing))
	}
	if len(asked) > 0 {
		existing = asked
	}
	fmt.Fprintln(env.Stdout, "Querying brokers for log directories information")
	topics := splitList(t.topics.Value())
	answer := logDirsAnswer{Brokers: []brokerDirs{}, Version: 1}
	for _, id := range existing {
		dirs, err := describeLogDirs(ctx, c.admin, id)
		if err != nil {
			return err
		}
		answer.Brokers = append(answer.Brokers, brokerDirs{id, printableDirs(dirs, topics)})
	}
	hashOrder(answer.Brokers, len(existing), func(b brokerDirs) int32 { return b.Broker })
	fmt.Fprintf(env.Stdout, "Received log directory information from brokers %s\n", joinIDs(existing))
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "%s\n", text)
	return nil
}

// The answer's fields are in the order in which Kafka's tool prints them.
type logDirsAnswer struct {
	Brokers []brokerDirs `json:"brokers"`
	Version int          `json:"version"`
}

type brokerDirs struct {
	Broker  int32     `json:"broker"`
	LogDirs []dirInfo `json:"logDirs"`
}

type dirInfo struct {
	Partitions []partitionInDir `json:"partitions"`
	Error      *string          `json:"error"`
	LogDir     string           `json:"logDir"`
}

type partitionInDir struct {
	Partition string `json:"partition"`
	Size      int64  `json:"size"`
	OffsetLag int64  `json:"offsetLag"`
	IsFuture  bool   `json:"isFuture"`

	name topicPartition
}

// describeLogDirs asks a broker for its log directories, those that failed included.
func describeLogDirs(ctx context.Context, admin *client.Admin, broker int32) ([]kmsg.DescribeLogDirsResponseDir, error) {
	raw, err := admin.CallBroker(ctx, "describeLogDirs", broker, kmsg.NewPtrDescribeLogDirsRequest())
	if err != nil {
		return nil, err
	}
	resp := raw.(*kmsg.DescribeLogDirsResponse)
	if len(resp.Dirs) > 0 {
		return resp.Dirs, nil
	}
	const clusterAuthorizationFailed = 31 // what an old broker's empty answer means
	code := resp.ErrorCode
	if code == 0 {
		code = clusterAuthorizationFailed
	}
	return nil, client.Coded(code, nil)
}

// printableDirs is directories and partitions in the order of Kafka's tool, which is that of hash tables: one of the
// answer and one of what passes the filter.
func printableDirs(dirs []kmsg.DescribeLogDirsResponseDir, topics []string) []dirInfo {
	out := make([]dirInfo, 0, len(dirs))
	for _, dir := range dirs {
		info := dirInfo{Partitions: []partitionInDir{}, LogDir: dir.Dir}
		if dir.ErrorCode != 0 {
			class, _, _ := strings.Cut(client.Java(client.Coded(dir.ErrorCode, nil)), ":")
			info.Error = &class
		}
		for _, topic := range dir.Topics {
			for _, p := range topic.Partitions {
				info.Partitions = append(info.Partitions, partitionInDir{Partition: topic.Topic + "-" + strconv.Itoa(int(p.Partition)),
					Size: p.Size, OffsetLag: p.OffsetLag, IsFuture: p.IsFuture, name: topicPartition{topic.Topic, p.Partition}})
			}
		}
		byHash := func(p partitionInDir) int32 { return p.name.hash() }
		hashOrder(info.Partitions, defaultHashCapacity, byHash)
		if len(topics) > 0 {
			info.Partitions = slices.DeleteFunc(info.Partitions, func(p partitionInDir) bool { return !slices.Contains(topics, p.name.topic) })
		}
		hashOrder(info.Partitions, defaultHashCapacity, byHash)
		out = append(out, info)
	}
	hashOrder(out, len(dirs), func(d dirInfo) int32 { return stringHash(d.LogDir) })
	return out
}

// splitList is the elements of a list separated by commas, without empty ones.
func splitList(list string) []string {
	return slices.DeleteFunc(strings.Split(list, ","), func(s string) bool { return s == "" })
}

// brokerIDs reads a list of ids, each once, in the order of Kafka's tools.
func brokerIDs(list string) ([]int32, error) {
	var ids []int32
	for _, word := range splitList(list) {
		n, err := strconv.ParseInt(word, 10, 32)
		if err != nil {
			return nil, &client.Error{Class: "java.lang.NumberFormatException", Message: fmt.Sprintf("For input string: \"%s\"", word)}
		}
		if !slices.Contains(ids, int32(n)) {
			ids = append(ids, int32(n))
		}
	}
	hashOrder(ids, defaultHashCapacity, func(id int32) int32 { return id })
	return ids, nil
}
