package cli

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// metadataQuorumTool is kafka-metadata-quorum: the controllers that hold the cluster's metadata.
type metadataQuorumTool struct {
	set *kafkaflag.Set

	brokers, controllers, config   *kafkaflag.Flag
	describe, add, remove          *kafkaflag.Set
	status, replication, human     *kafkaflag.Flag
	addDryRun                      *kafkaflag.Flag
	removeID, removeDir, removeDry *kafkaflag.Flag
}

func newMetadataQuorumTool() Command {
	s := kafkaflag.New("kafka-metadata-quorum", "This tool describes kraft metadata quorum status.", kafkaflag.Argparse)
	t := &metadataQuorumTool{
		set:         s,
		brokers:     s.String("bootstrap-server", "BOOTSTRAP_SERVER", "the brokers to contact first, as host:port, separated by commas"),
		controllers: s.String("bootstrap-controller", "BOOTSTRAP_CONTROLLER", "the controllers to contact first, instead of brokers"),
		config:      s.String("command-config", "COMMAND_CONFIG", "a properties file with settings for the admin client; for add-controller also those of the controller"),
	}
	s.Exclusive(true, t.brokers, t.controllers)
	t.describe = s.Sub("describe", "Describe the metadata quorum.")
	t.status = t.describe.Switch("status", "a short summary")
	t.replication = t.describe.Switch("replication", "a table of the nodes and how far they are")
	t.human = t.describe.Switch("human-readable", "times as how long they are ago, with --replication")
	t.add = s.Sub("add-controller", "Add a controller to the quorum.")
	t.addDryRun = t.add.Switch("dry-run", "only say what would be done")
	t.remove = s.Sub("remove-controller", "Remove a controller from the quorum.")
	t.removeID = t.remove.Int("controller-id", "CONTROLLER_ID", "the id of the controller", kafkaflag.Short('i'), kafkaflag.Required())
	t.removeDir = t.remove.String("controller-directory-id", "CONTROLLER_DIRECTORY_ID", "the id of its metadata directory", kafkaflag.Short('d'), kafkaflag.Required())
	t.removeDry = t.remove.Switch("dry-run", "only say what would be done")
	return t
}

// Flags implements Command.
func (t *metadataQuorumTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *metadataQuorumTool) Run(ctx context.Context, env Env) error {
	if _, err := os.Stat(t.config.Value()); t.config.Present() && err != nil {
		return terseErrorf("Properties file %s does not exists!", t.config.Value())
	}
	p, err := loadProperties(t.config.Value())
	if err != nil {
		return throw(env, err)
	}
	controller := p.Clone()
	reached, err := reach(env, p, t.brokers.Value(), t.controllers.Value())
	if err != nil {
		return throw(env, err)
	}
	defer reached.close()
	switch t.set.Chosen() {
	case t.describe:
		err = t.runDescribe(ctx, env, reached)
	case t.add:
		if !t.config.Present() {
			return terseErrorf("You must supply the configuration file of the controller you are adding when using add-controller.")
		}
		err = t.runAdd(ctx, env, reached, controller)
	case t.remove:
		err = t.runRemove(ctx, env, reached)
	default:
		return &kafkaflag.ArgumentError{Set: t.set, Message: "too few arguments"}
	}
	return throwExecution(env, err)
}

func (t *metadataQuorumTool) runDescribe(ctx context.Context, env Env, reached *cluster) error {
	switch {
	case t.status.Present() && t.replication.Present():
		return terseErrorf("Only one of --status or --replication should be specified with describe sub-command")
	case t.status.Present() && t.human.Present():
		return terseErrorf("The option --human-readable is only supported along with --replication")
	case !t.status.Present() && !t.replication.Present():
		return terseErrorf("One of --status or --replication must be specified with describe sub-command")
	}
	q, err := describeQuorum(ctx, reached)
	if err != nil {
		return err
	}
	if t.replication.Present() {
		return q.printReplication(env.Stdout, t.human.Present(), time.Now())
	}
	described, err := reached.describeCluster(ctx, false)
	if err != nil {
		return err
	}
	q.printStatus(env.Stdout, described.ClusterID)
	return nil
}

// quorumState is the answer of DescribeQuorum.
type quorumState struct {
	kmsg.DescribeQuorumResponseTopicPartition
	nodes  []kmsg.DescribeQuorumResponseNode
	leader kmsg.DescribeQuorumResponseTopicPartitionReplicaState
}

func describeQuorum(ctx context.Context, reached *cluster) (*quorumState, error) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	topic := kmsg.NewDescribeQuorumRequestTopic()
	topic.Topic = "__cluster_metadata"
	topic.Partitions = append(topic.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, topic)
	raw, err := reached.callLeader(ctx, "describeMetadataQuorum", req)
	if err != nil {
		return nil, err
	}
	resp := raw.(*kmsg.DescribeQuorumResponse)
	if err := client.Coded(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, &client.Error{Class: "org.apache.kafka.common.errors.UnknownServerException",
			Message: "DescribeMetadataQuorum received an answer that is not about the one metadata partition"}
	}
	q := &quorumState{resp.Topics[0].Partitions[0], resp.Nodes, kmsg.DescribeQuorumResponseTopicPartitionReplicaState{}}
	if err := client.Coded(q.ErrorCode, q.ErrorMessage); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(q.CurrentVoters, q.leads)
	if i < 0 {
		return nil, &client.Error{Class: "java.util.NoSuchElementException", Message: "No value present"}
	}
	q.leader = q.CurrentVoters[i]
	return q, nil
}

func (q *quorumState) leads(r kmsg.DescribeQuorumResponseTopicPartitionReplicaState) bool {
	return r.ReplicaID == q.LeaderID
}

func (q *quorumState) printStatus(out io.Writer, clusterID string) {
	slowest := q.CurrentVoters[0]
	for _, v := range q.CurrentVoters {
		if v.LogEndOffset < slowest.LogEndOffset {
			slowest = v
		}
	}
	lagMs := int64(-1)
	switch {
	case q.leads(slowest):
		lagMs = 0
	case q.leader.LastCaughtUpTimestamp >= 0 && slowest.LastCaughtUpTimestamp >= 0:
		lagMs = q.leader.LastCaughtUpTimestamp - slowest.LastCaughtUpTimestamp
	}
	fmt.Fprintf(out, "ClusterId:              %s\nLeaderId:               %d\nLeaderEpoch:            %d\nHighWatermark:          %d\n"+
		"MaxFollowerLag:         %d\nMaxFollowerLagTimeMs:   %d\nCurrentVoters:          %s\nCurrentObservers:       %s\n",
		clusterID, q.LeaderID, q.LeaderEpoch, q.HighWatermark, q.leader.LogEndOffset-slowest.LogEndOffset, lagMs,
		q.replicas(q.CurrentVoters), q.replicas(q.Observers))
}

// replicas lists nodes with their directories and addresses.
func (q *quorumState) replicas(states []kmsg.DescribeQuorumResponseTopicPartitionReplicaState) string {
	texts := make([]string, len(states))
	for i, s := range states {
		directory := "null"
		if s.ReplicaDirectoryID != [16]byte{} {
			directory = `"` + uuidString(s.ReplicaDirectoryID) + `"`
		}
		texts[i] = fmt.Sprintf(`{"id": %d, "directoryId": %s%s}`, s.ReplicaID, directory, q.endpoints(s.ReplicaID))
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

func (q *quorumState) endpoints(id int32) string {
	i := slices.IndexFunc(q.nodes, func(n kmsg.DescribeQuorumResponseNode) bool { return n.NodeID == id })
	if i < 0 || len(q.nodes[i].Listeners) == 0 {
		return ""
	}
	var list []string
	for _, l := range q.nodes[i].Listeners {
		list = append(list, fmt.Sprintf(`"%s://%s:%d"`, l.Name, l.Host, l.Port))
	}
	return `, "endpoints": [` + strings.Join(list, ", ") + "]"
}

func (q *quorumState) printReplication(out io.Writer, human bool, now time.Time) error {
	rows := [][]string{{"NodeId", "DirectoryId", "LogEndOffset", "Lag", "LastFetchTimestamp", "LastCaughtUpTimestamp", "Status"}}
	add := func(s kmsg.DescribeQuorumResponseTopicPartitionReplicaState, status string) error {
		fetched, err := quorumTime(s.LastFetchTimestamp, "last fetch", human, now)
		if err != nil {
			return err
		}
		caughtUp, err := quorumTime(s.LastCaughtUpTimestamp, "last caught up", human, now)
		if err != nil {
			return err
		}
		rows = append(rows, []string{strconv.Itoa(int(s.ReplicaID)), uuidString(s.ReplicaDirectoryID), strconv.FormatInt(s.LogEndOffset, 10),
			strconv.FormatInt(q.leader.LogEndOffset-s.LogEndOffset, 10), fetched, caughtUp, status})
		return nil
	}
	if err := add(q.leader, "Leader"); err != nil {
		return err
	}
	for _, s := range q.CurrentVoters {
		if !q.leads(s) {
			if err := add(s, "Follower"); err != nil {
				return err
			}
		}
	}
	for _, s := range q.Observers {
		if err := add(s, "Observer"); err != nil {
			return err
		}
	}
	printTable(out, rows)
	return nil
}

func quorumTime(ms int64, what string, human bool, now time.Time) (string, error) {
	if ms < 0 || !human {
		return strconv.FormatInt(max(ms, -1), 10), nil
	}
	if ago := now.UnixMilli() - ms; ms > 0 && ago >= 0 {
		return fmt.Sprintf("%d ms ago", ago), nil
	}
	return "", &client.Error{Class: "org.apache.kafka.common.KafkaException", Message: fmt.Sprintf("Error while computing relative time, possible drift "+
		"in system clock.\nCurrent timestamp is %d, %s timestamp is %d", now.UnixMilli(), what, ms)}
}

// printTable prints rows with a tab behind each cell, which is as wide as the widest of its column.
func printTable(out io.Writer, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for _, row := range rows {
		for i, cell := range row {
			fmt.Fprintf(out, "%-*s\t", widths[i], cell)
		}
		fmt.Fprintln(out)
	}
}

func (t *metadataQuorumTool) runRemove(ctx context.Context, env Env, reached *cluster) error {
	id, directory := t.removeID.Int64(), t.removeDir.Value()
	if id < 0 || id > math.MaxInt32 {
		return terseErrorf("Invalid negative --controller-id: %d", id)
	}
	directoryID, ok := parseUUID(directory)
	if !ok {
		return terseErrorf("Failed to parse --controller-directory-id: Input string with prefix `%.24s` is not a valid id", directory)
	}
	done := "DRY RUN of removing "
	if !t.removeDry.Present() {
		done = "Removed "
		req := kmsg.NewPtrRemoveRaftVoterRequest()
		req.VoterID, req.VoterDirectoryID = int32(id), directoryID
		raw, err := reached.callLeader(ctx, "removeRaftVoter", req)
		if err == nil {
			resp := raw.(*kmsg.RemoveRaftVoterResponse)
			err = client.Coded(resp.ErrorCode, resp.ErrorMessage)
		}
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(env.Stdout, "%s KRaft controller %d with directory id %s\n", done, id, directory)
	return nil
}
