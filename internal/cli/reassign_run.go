package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
)

// reassignment is one run of kafka-reassign-partitions.
type reassignment struct {
	env         Env
	cluster     *cluster
	timeout     time.Duration
	preserve    bool
	additional  bool
	sameFactor  bool
	throttle    int64 // bytes per second, -1: none
	dirThrottle int64
}

func (r *reassignment) println(args ...any)               { fmt.Fprintln(r.env.Stdout, args...) }
func (r *reassignment) printf(format string, args ...any) { fmt.Fprintf(r.env.Stdout, format, args...) }

func (r *reassignment) list(ctx context.Context) error {
	moves, err := r.ongoingMoves(ctx)
	if err != nil {
		return err
	}
	if len(moves) == 0 {
		r.println("No partition reassignments found.")
		return nil
	}
	r.println("Current partition reassignments:")
	for _, m := range moves {
		line := fmt.Sprintf("%s: replicas: %s.", m.partition, joinIDs(m.replicas))
		if len(m.adding) > 0 {
			line += " adding: " + joinIDs(m.adding) + "."
		}
		if len(m.removing) > 0 {
			line += " removing: " + joinIDs(m.removing) + "."
		}
		r.println(line)
	}
	return nil
}

func (r *reassignment) generate(ctx context.Context, text []byte, brokerList string, racks bool) error {
	ids, err := parseBrokers(brokerList)
	if err != nil {
		return err
	}
	topics, err := parseTopics(text)
	if err != nil {
		return err
	}
	current, err := r.existingReplicas(ctx, topics)
	if err != nil {
		return err
	}
	brokers, err := clusterNodes(ctx, r.cluster.admin)
	if err != nil {
		return inFuture{err}
	}
	brokers = slices.DeleteFunc(brokers, func(n clusterNode) bool { return !slices.Contains(ids, n.id) })
	rackless := len(brokers)
	for _, b := range brokers {
		if b.rack != "" {
			rackless--
		}
	}
	if racks && rackless != 0 && rackless != len(brokers) {
		return operationError("Not all brokers have rack information. Add --disable-rack-aware in command line to make replica assignment without rack information.")
	}
	proposed, err := propose(current, topics, brokers, racks && rackless == 0)
	if err != nil {
		return err
	}
	r.printf("Current partition replica assignment\n%s\n\nProposed partition reassignment configuration\n%s\n", r.currentMoves(ctx, current), formatMoves(proposed))
	return nil
}

func propose(current map[topicPartition][]int32, topics []string, brokers []clusterNode, racks bool) ([]move, error) {
	var moves []move
	for _, topic := range topics {
		n, factor := 0, 0
		for tp, replicas := range current {
			if tp.topic == topic {
				n++
				if factor == 0 || tp.partition == 0 {
					factor = len(replicas)
				}
			}
		}
		assigned, err := spread(brokers, racks, n, factor)
		if err != nil {
			return nil, err
		}
		for p, replicas := range assigned {
			moves = append(moves, move{topicPartition{topic, int32(p)}, replicas, slices.Repeat([]string{anyDir}, len(replicas))})
		}
	}
	return moves, nil
}

func (r *reassignment) verify(ctx context.Context, moves []move) error {
	active, err := r.ongoingMoves(ctx)
	if err != nil {
		return err
	}
	current, err := r.replicasOf(ctx, topicNames(moves))
	if err != nil {
		return err
	}
	lines := []string{"Status of partition reassignment:"}
	sorted := slices.SortedFunc(slices.Values(moves), func(a, b move) int { return a.partition.compare(b.partition) })
	for _, m := range sorted {
		switch {
		case findOngoing(active, m.partition) != nil:
			lines = append(lines, fmt.Sprintf("Reassignment of partition %s is still in progress.", m.partition))
		case slices.Equal(current[m.partition], m.replicas):
			lines = append(lines, fmt.Sprintf("Reassignment of partition %s is completed.", m.partition))
		default:
			lines = append(lines, fmt.Sprintf("There is no active reassignment of partition %s, but replica set is %s rather than %s.",
				m.partition, joinIDs(current[m.partition]), joinIDs(m.replicas)))
		}
	}
	r.println(strings.Join(lines, "\n"))
	done := r.verifyDirs(ctx, dirMoves(moves))
	if len(active) == 0 && done && !r.preserve {
		return r.clearThrottles(ctx, moves)
	}
	return nil
}

// verifyDirs tells how moves between directories stand and whether none is under way.
func (r *reassignment) verifyDirs(ctx context.Context, targets map[replicaOf]string) (done bool) {
	replicas := slices.SortedFunc(maps.Keys(targets), replicaOf.compare)
	dirs := r.dirsOf(ctx, replicas)
	var lines []string
	done = true
	for _, replica := range replicas {
		state, found := dirs[replica]
		target, name, broker := targets[replica], replica.partition, replica.broker
		switch {
		case !found:
			lines = append(lines, fmt.Sprintf("Partition %s cannot be found in any live log directory on broker %d.", name, broker))
		case state.current == "":
			done = false
			lines = append(lines, fmt.Sprintf("Partition %s is not found in any live log dir on broker %d. There is likely an offline log directory on the broker.", name, broker))
		case state.future == target:
			done = false
			lines = append(lines, fmt.Sprintf("Reassignment of replica %s is still in progress.", replica))
		case state.future != "":
			done = false
			lines = append(lines, fmt.Sprintf("Partition %s on broker %d is being moved to log dir %s instead of %s.", name, broker, state.future, target))
		case state.current == target:
			lines = append(lines, fmt.Sprintf("Reassignment of replica %s completed successfully.", replica))
		default:
			lines = append(lines, fmt.Sprintf("Partition %s on broker %d is not being moved from log dir %s to %s.", name, broker, state.current, target))
		}
	}
	r.println(strings.Join(lines, "\n"))
	return done
}

func (r *reassignment) execute(ctx context.Context, moves []move) error {
	if err := checkMoves(moves); err != nil {
		return err
	}
	active, err := r.ongoingMoves(ctx)
	if err != nil {
		return err
	}
	if len(active) > 0 && !r.additional {
		return plainRefusal("Cannot execute because there is an existing partition assignment.  Use --additional to override this and create a new partition " +
			"assignment in addition to the existing one. The --additional flag can also be used to change the throttle by resubmitting the current reassignment.")
	}
	current, err := r.checkTargets(ctx, moves)
	if err != nil {
		return err
	}
	r.printf("Current partition replica assignment\n\n%s\n\nSave this to use as the --reassignment-json-file option during rollback\n", r.currentMoves(ctx, current))
	if err := r.setThrottles(ctx, moves, active, current); err != nil {
		return err
	}
	failures, err := r.alter(ctx, moves, false)
	if err != nil {
		return err
	}
	if len(failures) > 0 {
		return plainRefusal("Error reassigning partition(s):\n" + listFailures(failures))
	}
	r.printf("Successfully started partition reassignment%s for %s\n", plural(len(moves)), sortedNames(partitionsOf(moves)))
	return r.moveDirs(ctx, dirMoves(moves))
}

// checkTargets refuses moves to brokers that are not there and of partitions that are not, and tells where the
// partitions are now.
func (r *reassignment) checkTargets(ctx context.Context, moves []move) (map[topicPartition][]int32, error) {
	nodes, err := clusterNodes(ctx, r.cluster.admin)
	if err != nil {
		return nil, inFuture{err}
	}
	var brokers []int32
	for _, m := range moves {
		brokers = append(brokers, m.replicas...)
	}
	hashOrder(brokers, defaultHashCapacity, func(id int32) int32 { return id })
	for _, id := range brokers {
		if !slices.ContainsFunc(nodes, func(n clusterNode) bool { return n.id == id }) {
			return nil, commandError("Unknown broker id %d", id)
		}
	}
	all, err := r.existingReplicas(ctx, topicNames(moves))
	if err != nil {
		return nil, err
	}
	current := map[topicPartition][]int32{}
	var missing []string
	for _, m := range moves {
		if replicas, ok := all[m.partition]; ok {
			current[m.partition] = replicas
		} else {
			missing = append(missing, m.partition.String())
		}
	}
	if len(missing) > 0 {
		message := "Unable to find partition: " + strings.Join(missing, ", ")
		return nil, inFuture{client.Coded(kerr.UnknownTopicOrPartition.Code, &message)}
	}
	return current, nil
}

func partitionsOf(moves []move) []topicPartition {
	out := make([]topicPartition, len(moves))
	for i, m := range moves {
		out[i] = m.partition
	}
	return out
}

func listFailures(failures map[topicPartition]error) string {
	var lines []string
	for _, tp := range slices.SortedFunc(maps.Keys(failures), topicPartition.compare) {
		lines = append(lines, fmt.Sprintf("%s: %v", tp, failures[tp]))
	}
	return strings.Join(lines, "\n")
}

// alter asks the controller to start moves, or to cancel them.
func (r *reassignment) alter(ctx context.Context, moves []move, cancel bool) (map[topicPartition]error, error) {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.AllowReplicationFactorChange = !r.sameFactor
	for _, m := range moves {
		i := slices.IndexFunc(req.Topics, func(t kmsg.AlterPartitionAssignmentsRequestTopic) bool { return t.Topic == m.partition.topic })
		if i < 0 {
			t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
			t.Topic = m.partition.topic
			req.Topics = append(req.Topics, t)
			i = len(req.Topics) - 1
		}
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Partition = m.partition.partition
		if !cancel {
			p.Replicas = m.replicas
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	raw, err := r.callController(ctx, "alterPartitionReassignments", req)
	if err != nil {
		return nil, inFuture{err}
	}
	resp := raw.(*kmsg.AlterPartitionAssignmentsResponse)
	failures := map[topicPartition]error{}
	if err := client.Coded(resp.ErrorCode, resp.ErrorMessage); err != nil {
		for _, m := range moves {
			failures[m.partition] = err
		}
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := client.Coded(p.ErrorCode, p.ErrorMessage); err != nil {
				failures[topicPartition{t.Topic, p.Partition}] = err
			}
		}
	}
	return failures, nil
}

func (r *reassignment) cancel(ctx context.Context, moves []move) error {
	active, err := r.ongoingMoves(ctx)
	if err != nil {
		return err
	}
	cancelled := slices.DeleteFunc(slices.Clone(moves), func(m move) bool { return findOngoing(active, m.partition) == nil })
	if len(cancelled) > 0 {
		failures, err := r.alter(ctx, cancelled, true)
		if err != nil {
			return err
		}
		if len(failures) > 0 {
			return plainRefusal(fmt.Sprintf("Error cancelling partition reassignment%s for:\n%s", plural(len(failures)), listFailures(failures)))
		}
		r.printf("Successfully cancelled partition reassignment%s for: %s\n", plural(len(cancelled)), sortedNames(partitionsOf(cancelled)))
	} else {
		r.println("None of the specified partition reassignments are active.")
	}
	targets := dirMoves(moves)
	back := map[replicaOf]string{}
	for replica, state := range r.dirsOf(ctx, slices.Collect(maps.Keys(targets))) {
		if state.future != "" && state.current != "" {
			back[replica] = state.current
		}
	}
	if len(back) == 0 {
		r.printf("None of the specified partition moves are active.") // Kafka's tool has no line end here either
	} else if err := r.moveDirs(ctx, back); err != nil {
		return err
	}
	if r.preserve {
		return nil
	}
	return r.clearThrottles(ctx, moves)
}
